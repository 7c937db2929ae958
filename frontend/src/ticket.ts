/** What a console asks of tickets: which ones, in which order, where, what next. */
import { TIERS, type Move, type MoveName, type Status, type Step, type Ticket, type Tier } from './contract'

/** The time for handling does not run: done, not begun, or suspended. */
const STILL: readonly Status[] = ['handled', 'checking', 'suspended', 'reported', 'verifying']

export function isOpen(ticket: Ticket): boolean {
  return ticket.closed_at === null
}

export function isDone(ticket: Ticket): boolean {
  return !isOpen(ticket) || ticket.status === 'handled' || ticket.status === 'checking'
}

export function isRunning(ticket: Ticket): boolean {
  return isOpen(ticket) && !STILL.includes(ticket.status)
}

/** Moves whose reason the reporter reads as the answer. */
const ANSWERS: readonly MoveName[] = ['void', 'close']

/** Whether a move's words go to somebody who reported the matter. */
export function isAnswer(move: MoveName, ticket: Ticket): boolean {
  return ANSWERS.includes(move) && ticket.source?.kind === 'report'
}

/** Open tickets near another one, the newest first: with which it may be the same matter. */
export function nearby(one: Ticket, tickets: Iterable<Ticket>, within_m = 500): { ticket: Ticket; metres: number }[] {
  const metres = (other: Ticket): number => {
    const north = (other.lat - one.lat) * 111_195
    return Math.hypot(north, (other.lng - one.lng) * 111_195 * Math.cos((one.lat * Math.PI) / 180))
  }
  return [...tickets]
    .filter((other) => other.id !== one.id && isOpen(other))
    .map((other) => ({ ticket: other, metres: metres(other) }))
    .filter((found) => found.metres <= within_m)
    .sort((a, b) => newer(a.ticket, b.ticket) || a.metres - b.metres)
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
  const done = (ticket: Ticket): number => (isDone(ticket) ? 1 : 0)
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
  const order: MoveName[] = [
    'close', 'finish', 'checked', 'verified', 'arbitrate', 'file', 'dispatch', 'accept', 'grant', 'help_done', 'help_accept', 'resume', 'report_up', 'evaluate',
  ]
  for (const name of order) {
    const move = moves.find((candidate) => candidate.move === name)
    if (move) return move
  }
  return null
}

export const MOVE_GROUPS = ['on', 'back', 'ask', 'watch'] as const
export type MoveGroup = (typeof MOVE_GROUPS)[number]

const GROUP_OF: Partial<Record<string, MoveGroup>> = {
  void: 'back', split: 'back', return: 'back', hand_up: 'back', rework: 'back', refuse: 'back', reopen: 'back', help_decline: 'back', force_close: 'back',
  merge: 'ask', ask_extension: 'ask', ask_suspension: 'ask', appeal: 'ask', assist: 'ask',
  supervise: 'watch', remind: 'watch', report_up: 'watch', report_final: 'watch',
}

/** Moves by what they do to the matter: bring it on, back, ask others about it, watch over it. Groups without a move are left out. */
export function groupsOf(moves: readonly Move[]): { group: MoveGroup; moves: Move[] }[] {
  return MOVE_GROUPS.map((group) => ({ group, moves: moves.filter((move) => (GROUP_OF[move.move] ?? 'on') === group) })).filter((own) => own.moves.length > 0)
}

/** Who has to do something next, by name; null when it is somebody above whom the ticket's own place does not name. */
export function nextName(ticket: Ticket): string | null {
  if (!ticket.responsible || ticket.responsible === ticket.holder.region) return ticket.holder.name
  return ticket.path.find((place) => place.region === ticket.responsible)?.name ?? null
}

/** Who may answer what the holder asked for: the desk above it, and the city reviews an appeal. */
export function answererName(ticket: Ticket): string | null {
  if (ticket.request?.what === 'appeal_review') return ticket.path[0]?.name ?? null
  if (ticket.responsible) return nextName(ticket)
  const at = ticket.path.findIndex((place) => place.region === ticket.holder.region)
  return ticket.path[Math.max(0, at - 1)]?.name ?? null
}

/** The stage whose own limit runs in a status. */
const STAGE_OF: Partial<Record<string, 'filing' | 'verify' | 'accept' | 'arbitrate' | 'close' | 'check'>> = {
  reported: 'filing',
  verifying: 'verify',
  filed: 'accept',
  dispatched: 'accept',
  returned: 'accept',
  arbitrating: 'arbitrate',
  handled: 'close',
  checking: 'check',
}

export function stageOf(ticket: Ticket): { stage: string; due_at: string; lapsed: boolean } | null {
  const stage = STAGE_OF[ticket.status]
  return stage && ticket.stage_due_at ? { stage, due_at: ticket.stage_due_at, lapsed: Boolean(ticket.lapsed_at) } : null
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

/** What differs between the version a reader acted on and the one the server holds; who moved it last is told beside. */
export function differences(mine: Ticket, current: Ticket): ('status' | 'holder' | 'severity' | 'due_at')[] {
  const changed: ('status' | 'holder' | 'severity' | 'due_at')[] = []
  if (mine.status !== current.status) changed.push('status')
  if (mine.holder.region !== current.holder.region || mine.holder.account !== current.holder.account) changed.push('holder')
  if (mine.severity !== current.severity) changed.push('severity')
  if (mine.due_at !== current.due_at) changed.push('due_at')
  return changed
}
