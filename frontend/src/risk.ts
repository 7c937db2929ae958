/** Risk as a screen tells it: steps of colour, whether the lines add up, and what is drawn of them. */
import type { RiskLine, RiskMoment } from './contract'

export const FULL = 100

/** The colour step of a score, 1 to 5, 20 points each; the map's layer counts the same way. */
export function stepOf(score: number): 1 | 2 | 3 | 4 | 5 {
  return Math.min(5, Math.max(1, Math.floor(score / 20) + 1)) as 1 | 2 | 3 | 4 | 5
}

/** One decimal where there is one: 83, 82.6. */
export function pointsText(score: number): string {
  return String(Math.round(score * 10) / 10)
}

/** The sum of what is shown, counted in tenths: binary fractions of a point must not make a sum look wrong. */
export function total(lines: readonly RiskLine[]): number {
  return lines.reduce((sum, line) => sum + Math.round(line.points * 10), 0) / 10
}

/** The sensor that a line is about by itself: of its reading, or of what that is forecast to be. */
export function sensorIn(line: RiskLine): string | null {
  return line.kind === 'reading' || line.kind === 'forecast' ? (line.source ?? null) : null
}

export const GROUPS = ['hazard', 'exposure', 'vulnerability', 'highest', 'further'] as const

/** The points by what they are of, as they come. */
export function byGroup(lines: readonly RiskLine[]): { of: RiskLine['of']; points: number }[] {
  return GROUPS.map((of) => ({ of, points: total(lines.filter((line) => line.of === of)) })).filter(({ points }) => points > 0)
}

/** A history, newest first, as a line from its first moment until now: a score stands until the next one is told. */
export function lineOf(moments: readonly RiskMoment[], score: number, since_ms: number, now_ms: number): [at_ms: number, score: number][] {
  const told = [...moments].reverse().map(({ at, score: was }): [number, number] => [Date.parse(at), was])
  return [...told.filter(([at]) => at >= since_ms && at <= now_ms), [now_ms, score]]
}
