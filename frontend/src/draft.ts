/** What a person fills in before a move is sent: which parts a move asks for, what is still missing, and the choice it becomes. */
import { fromPicked } from './cityTime'
import type { Cause, Choice, Move, MoveName, Severity } from './contract'

/** `to` is a region, `ticket` the other ticket of a merge; `filing` is the number of a filing condition and may stay empty. */
export type Part = 'to' | 'ticket' | 'cause' | 'ok' | 'score' | 'until' | 'filing' | 'severity' | 'reason'

/** A move as it is asked for here: words may be offered where the table needs none. */
export interface Asked extends Move {
  offers_reason?: boolean
}

export interface Draft {
  to: string
  cause: Cause
  ok: boolean | null
  score: number | null
  /** As a date-time field has it, by the city's clock. */
  until: string
  standard: string
  /** Null: as it is. */
  severity: Severity | null
  reason: string
}

const LONGEST_MS = 365 * 86_400_000
/** Those whose target is chosen in the dialog; a dispatch has its own beside the button, a return goes where it came from. */
const TARGETED: readonly MoveName[] = ['arbitrate', 'hand_up', 'check', 'verify', 'assist']
const ASKED: readonly Part[] = ['ticket', 'cause', 'ok', 'score', 'until', 'filing', 'severity']

/** What has to be asked, in the order of asking; empty when one press is enough. */
export function partsOf(move: Asked): Part[] {
  const asks: readonly string[] = move.asks ?? []
  const targeted = TARGETED.includes(move.move) && move.to.length > 0
  return [...(targeted ? ['to' as const] : []), ...ASKED.filter((part) => asks.includes(part)), ...(move.needs_reason || move.offers_reason ? ['reason' as const] : [])]
}

export function emptyDraft(move: Move): Draft {
  return { to: partsOf(move).includes('to') ? (move.to[0]?.region ?? '') : '', cause: 'other', ok: null, score: null, until: '', standard: '', severity: null, reason: '' }
}

/** The first part that is missing or cannot be; null when the move can be sent. */
export function lacking(move: Asked, draft: Draft, now_ms: number, zone: string | undefined): Part | null {
  const at = Date.parse(fromPicked(draft.until, zone) ?? '')
  const given: Record<Part, boolean> = {
    to: draft.to !== '',
    ticket: draft.to !== '',
    cause: true,
    ok: draft.ok !== null,
    score: draft.score !== null,
    until: at > now_ms && at <= now_ms + LONGEST_MS,
    filing: draft.standard === '' || (/^\d+$/.test(draft.standard) && Number(draft.standard) > 0),
    severity: true,
    reason: !move.needs_reason || draft.reason.trim() !== '',
  }
  return partsOf(move).find((part) => !given[part]) ?? null
}

/** What is sent, only with what the move asks for. */
export function choiceOf(move: Asked, draft: Draft, zone: string | undefined): Choice {
  const parts = partsOf(move)
  const choice: Choice = {}
  if (parts.includes('to') || parts.includes('ticket')) choice.to = draft.to
  if (parts.includes('cause')) choice.cause = draft.cause
  if (parts.includes('ok') && draft.ok !== null) choice.ok = draft.ok
  if (parts.includes('score') && draft.score !== null) choice.score = draft.score
  const until = parts.includes('until') ? fromPicked(draft.until, zone) : null
  if (until !== null) choice.until = until
  if (parts.includes('filing') && draft.standard !== '') choice.standard = Number(draft.standard)
  if (parts.includes('severity') && draft.severity !== null) choice.severity = draft.severity
  if (parts.includes('reason') && (move.needs_reason || draft.reason.trim() !== '')) choice.reason = draft.reason.trim()
  return choice
}
