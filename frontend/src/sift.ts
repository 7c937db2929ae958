/** The desk's filters. */
import { isQuiet } from './alertWords'
import type { Alert, Domain, Helper, Severity, Status, Ticket } from './contract'

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
  waiting: ['reported', 'verifying', 'filed', 'dispatched', 'returned', 'arbitrating'],
  handling: ['accepted', 'suspended'],
  checking: ['handled', 'checking'],
  closed: ['closed', 'evaluated', 'void', 'merged'],
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
  if (sieve.view === 'mine') return [ticket.holder.region, ticket.responsible].includes(sieve.region) || isHelper(ticket, sieve.region)
  return STATUSES_OF[sieve.view].includes(ticket.status)
}

/** Whether a region's answer is still waited for. */
export function isHelper(ticket: Ticket, region: string | undefined): boolean {
  return helpOf(ticket, region) !== null
}

/** What a region was asked to help with and has not answered for good; null when nothing. */
export function helpOf(ticket: Ticket, region: string | undefined): Helper | null {
  return (ticket.helpers ?? []).find((own) => own.region === region && own.state !== 'done' && own.state !== 'declined') ?? null
}

export const ALERT_VIEWS = ['all_states', 'waiting', 'acknowledged', 'quiet'] as const
export type AlertView = (typeof ALERT_VIEWS)[number]

export interface AlertSieve {
  view: AlertView
  domain: Domain | null
  severity: Severity | null
}

export function siftAlerts(alerts: readonly Alert[], sieve: AlertSieve): Alert[] {
  return alerts.filter(
    (alert) =>
      inAlertView(alert, sieve.view) && (sieve.domain === null || alert.domain === sieve.domain) && (sieve.severity === null || alert.severity === sieve.severity),
  )
}

function inAlertView(alert: Alert, view: AlertView): boolean {
  if (view === 'waiting') return alert.state === 'raised' || alert.state === 'returned'
  if (view === 'acknowledged') return alert.state === 'acknowledged'
  return view === 'quiet' ? isQuiet(alert) : true
}
