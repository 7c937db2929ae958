/** How much of a ticket's time is left. */
import type { Ticket } from './contract'
import { isRunning } from './ticket'

export interface Deadline {
  /** Seconds left; negative when overdue. */
  left_s: number
  /** Part of the whole time that is left, 0 to 1. */
  part: number
  state: 'ample' | 'short' | 'last' | 'overdue'
}

const SHORT_PART = 0.25

/** @returns null for a ticket without a deadline, or one whose work is done */
export function deadlineOf(ticket: Ticket, now_ms: number): Deadline | null {
  if (!ticket.due_at || !isRunning(ticket)) return null
  const due_ms = Date.parse(ticket.due_at)
  const whole_ms = Math.max(1, due_ms - Date.parse(ticket.opened_at))
  const left_s = Math.round((due_ms - now_ms) / 1000)
  const part = Math.min(1, Math.max(0, (due_ms - now_ms) / whole_ms))
  // The server counts in working time; the share of the wall clock is for who does not say.
  const short = ticket.amber_at ? now_ms >= Date.parse(ticket.amber_at) : part < SHORT_PART
  const last = Boolean(ticket.red_at) && now_ms >= Date.parse(ticket.red_at ?? '')
  return { left_s, part, state: left_s < 0 ? 'overdue' : last ? 'last' : short ? 'short' : 'ample' }
}
