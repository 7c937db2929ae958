/** The desk's filters. */
import type { Domain, Severity, Status, Ticket } from './contract'

export const DESK_VIEWS = ['all', 'mine', 'waiting', 'handling', 'checking', 'closed'] as const
export type DeskView = (typeof DESK_VIEWS)[number]

export interface Sieve {
  view: DeskView
  domain: Domain | null
  severity: Severity | null
  /** The reader's own region: "with me" means it holds the ticket. */
  region: string
}

const STATUSES_OF: Record<Exclude<DeskView, 'all' | 'mine'>, readonly Status[]> = {
  waiting: ['filed', 'dispatched', 'returned'],
  handling: ['accepted'],
  checking: ['handled'],
  closed: ['closed'],
}

export function sift(tickets: readonly Ticket[], sieve: Sieve): Ticket[] {
  return tickets.filter(
    (ticket) =>
      inView(ticket, sieve) &&
      (sieve.domain === null || ticket.domain === sieve.domain) &&
      (sieve.severity === null || ticket.severity === sieve.severity),
  )
}

/** A ticket that has just closed stays in the open lists until the replica forgets it, so that its end is seen. */
function inView(ticket: Ticket, sieve: Sieve): boolean {
  if (sieve.view === 'all') return true
  if (sieve.view === 'mine') return ticket.holder.region === sieve.region
  return STATUSES_OF[sieve.view].includes(ticket.status)
}
