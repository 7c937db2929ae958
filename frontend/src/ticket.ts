/** What a console asks of tickets: which ones, in which order, where, what next. */
import { TIERS, type Move, type MoveName, type Step, type Ticket, type Tier } from './contract'

export function isOpen(ticket: Ticket): boolean {
  return ticket.status !== 'closed'
}

export function isWithin(ticket: Ticket, region: string): boolean {
  return ticket.path.some((place) => place.region === region)
}

export function newestFirst(tickets: Iterable<Ticket>): Ticket[] {
  return [...tickets].sort((a, b) => newer(a, b) || b.number.localeCompare(a.number))
}

/** Gravest first; among equals the one whose time ends first. Finished work waits for a check and comes last. */
export function gravestFirst(tickets: Iterable<Ticket>): Ticket[] {
  const due = (ticket: Ticket): number => (ticket.due_at ? Date.parse(ticket.due_at) : Infinity)
  const done = (ticket: Ticket): number => (ticket.status === 'handled' || ticket.status === 'closed' ? 1 : 0)
  return [...tickets].sort((a, b) => done(a) - done(b) || b.severity - a.severity || due(a) - due(b) || newer(a, b))
}

function newer(a: Ticket, b: Ticket): number {
  return Date.parse(b.opened_at) - Date.parse(a.opened_at)
}

export function below(tier: Tier): Tier | null {
  return TIERS[TIERS.indexOf(tier) + 1] ?? null
}

/** Names of the places below `tier`, outermost first: what a reader who sees `tier` as a whole has still to be told. */
export function placeBelow(ticket: Ticket, tier: Tier): string {
  const names = ticket.path.filter((place) => TIERS.indexOf(place.tier) > TIERS.indexOf(tier)).map((place) => place.name)
  return (names.length > 0 ? names : ticket.path.slice(-1).map((place) => place.name)).join(' ')
}

/** The region a dispatch goes to unless the operator says otherwise: the next one on the way to the place. */
export function nextOnPath(ticket: Ticket): string | null {
  const tier = below(ticket.tier)
  return ticket.path.find((place) => place.tier === tier)?.region ?? null
}

/** The one move a reader most likely wants: down while it can go down, else forward. Returning is never the main one. */
export function mainMove(moves: readonly Move[]): Move | null {
  const order: MoveName[] = ['close', 'finish', 'dispatch', 'accept']
  for (const name of order) {
    const move = moves.find((candidate) => candidate.move === name)
    if (move) return move
  }
  return null
}

/** Who has to do something next: the holder, or for finished work whoever stands above it. */
export function nextName(ticket: Ticket): string {
  if (ticket.status !== 'handled') return ticket.holder.name
  const above = TIERS[TIERS.indexOf(ticket.tier) - 1]
  return ticket.path.find((place) => place.tier === above)?.name ?? ticket.holder.name
}

export interface Station {
  tier: Tier
  name: string
  /** When the ticket first stood there; null when it never did or the trail does not tell. */
  reached_at: string | null
  state: 'past' | 'here' | 'ahead'
}

/** The five tiers of a ticket's way with the time each was first reached. */
export function stationsOf(ticket: Ticket, steps: readonly Step[]): Station[] {
  const here = TIERS.indexOf(ticket.tier)
  return TIERS.map((tier, index) => {
    const reached_at = steps.find((step) => step.tier === tier)?.at ?? null
    const name = ticket.path.find((place) => place.tier === tier)?.name ?? ''
    const state = index === here ? 'here' : reached_at !== null || index < here ? 'past' : 'ahead'
    return { tier, name, reached_at, state }
  })
}

/** What differs between the version a reader acted on and the one the server holds. */
export function differences(mine: Ticket, current: Ticket): ('status' | 'holder' | 'severity' | 'due_at')[] {
  const changed: ('status' | 'holder' | 'severity' | 'due_at')[] = []
  if (mine.status !== current.status) changed.push('status')
  if (mine.holder.region !== current.holder.region || mine.holder.account !== current.holder.account) changed.push('holder')
  if (mine.severity !== current.severity) changed.push('severity')
  if (mine.due_at !== current.due_at) changed.push('due_at')
  return changed
}
