/** Wartime operation (平战结合): what is in force, whom it concerns, who may change it. Everything nobody declared is at peace. */
import { type Domain, type Mode, TIERS, type Ticket, type Tier } from './contract'

/** For how long it can be declared or prolonged, in hours: the last is how far ahead the server lets an end lie. */
export const HOURS = [1, 2, 6, 12, 24, 72] as const
const LONGEST_H = 72
const HOUR_MS = 3_600_000

/** What counts is the end that is written down: a screen that has lost its link leaves wartime by itself. */
export function holds(mode: Mode, now_ms: number): boolean {
  const over_ms = Math.min(Date.parse(mode.ends_at), mode.ended_at === null ? Infinity : Date.parse(mode.ended_at))
  // The declaration may be told a moment before this screen's clock has heard of its time.
  return now_ms < over_ms
}

/** The one that ends first leads. */
export function inForce(modes: Iterable<Mode>, now_ms: number): Mode[] {
  const rank = (mode: Mode): number => Date.parse(mode.ends_at)
  return [...modes].filter((mode) => holds(mode, now_ms)).sort((a, b) => rank(a) - rank(b) || a.region.localeCompare(b.region))
}

/** The same list in the same versions: nothing that is made of it has to be drawn anew. */
export function isSame(before: readonly Mode[], after: readonly Mode[]): boolean {
  return before.length === after.length && before.every((mode, index) => mode.id === after[index]?.id && mode.version === after[index]?.version)
}

export function isAtWar(ticket: Pick<Ticket, 'path' | 'domain'>, modes: readonly Mode[]): boolean {
  return modes.some((mode) => mode.domains.includes(ticket.domain) && ticket.path.some((place) => place.region === mode.region))
}

/** Tickets of what is at war first; the order within both is kept. */
export function wartimeFirst(tickets: readonly Ticket[], modes: readonly Mode[]): Ticket[] {
  if (modes.length === 0) return [...tickets]
  const first = tickets.filter((ticket) => isAtWar(ticket, modes))
  const known = new Set(first)
  return [...first, ...tickets.filter((ticket) => !known.has(ticket))]
}

export function mayDeclare(tier: Tier): boolean {
  return tier === 'city' || tier === 'county'
}

/** The same table as the server's, so that a button is offered only where it works: nobody ends what was declared above. */
export function mayChange(mode: Mode, tier: Tier): boolean {
  return mayDeclare(tier) && TIERS.indexOf(tier) <= TIERS.indexOf(mode.tier)
}

export interface ModeDraft {
  region: string
  domains: readonly Domain[]
  hours: number
  reason: string
}

/** What is still missing, null when it can be declared. */
export function missing(draft: ModeDraft): 'domains' | 'reason' | null {
  return draft.domains.length === 0 ? 'domains' : draft.reason.trim() === '' ? 'reason' : null
}

/** RFC 3339, whole seconds: never more than was chosen. */
export function endAfter(hours: number, from_ms: number): string {
  return new Date(Math.floor(from_ms / 1000) * 1000 + hours * HOUR_MS).toISOString()
}

/** By how many hours it can be prolonged now. */
export function furtherHours(mode: Mode, now_ms: number): number[] {
  return HOURS.filter((hours) => Date.parse(mode.ends_at) + hours * HOUR_MS <= now_ms + LONGEST_H * HOUR_MS)
}
