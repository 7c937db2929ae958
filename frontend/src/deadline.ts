/** How much of a ticket's time is left. */
import type { Ticket } from './contract'

export interface Deadline {
  /** Seconds left; negative when overdue. */
  left_s: number
  /** Part of the whole time that is left, 0 to 1. */
  part: number
  state: 'ample' | 'short' | 'overdue'
}

const SHORT_PART = 0.25

/** @returns null for a ticket without a deadline, or one whose work is done */
export function deadlineOf(ticket: Ticket, now_ms: number): Deadline | null {
  if (!ticket.due_at || ticket.status === 'handled' || ticket.status === 'closed') return null
  const due_ms = Date.parse(ticket.due_at)
  const whole_ms = Math.max(1, due_ms - Date.parse(ticket.opened_at))
  const left_s = Math.round((due_ms - now_ms) / 1000)
  const part = Math.min(1, Math.max(0, (due_ms - now_ms) / whole_ms))
  return { left_s, part, state: left_s < 0 ? 'overdue' : part < SHORT_PART ? 'short' : 'ample' }
}
