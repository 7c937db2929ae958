/** The ladder of a rule as a small picture: an axis, a mark for each level, a hollow mark where an alert ends. */
import type { Severity } from './contract'
import type { Direction, Rule } from './rule'

export interface Mark {
  severity: Severity
  at: number
  /** Place on the axis, 0 to 1. */
  x: number
  /** 0 stands beside the axis, 1 one step further away: labels never lie on each other. */
  row: number
}

export interface Span {
  severity: Severity
  from: number
  to: number
}

export interface Ladder {
  direction: Direction
  marks: readonly Mark[]
  clear: { at: number; x: number } | null
  /** Coloured pieces of the axis: where a value has reached which rung. */
  spans: readonly Span[]
}

const MARGIN = 0.1
/** Labels nearer than this share of the axis would collide. */
const NEAR = 0.17

/** null for a rule without numbers to draw. */
export function ladderOf(rule: Pick<Rule, 'direction' | 'levels' | 'clear'>): Ladder | null {
  const levels = [...(rule.levels ?? [])].sort((a, b) => a.at - b.at || a.severity - b.severity)
  if (levels.length === 0) return null
  const clear = rule.clear ?? null
  const numbers = levels.map((level) => level.at).concat(clear === null ? [] : [clear])
  const place = scale(Math.min(...numbers), Math.max(...numbers))
  const direction = rule.direction ?? 'above'
  let row = 1
  let last = -Infinity
  const marks = levels.map((level): Mark => {
    const x = place(level.at)
    row = x - last < NEAR ? 1 - row : 0
    last = x
    return { severity: level.severity, at: level.at, x, row }
  })
  return { direction, marks, clear: clear === null ? null : { at: clear, x: place(clear) }, spans: spansOf(marks, direction) }
}

function scale(low: number, high: number): (value: number) => number {
  if (high === low) return () => 0.5
  return (value) => MARGIN + ((1 - 2 * MARGIN) * (value - low)) / (high - low)
}

function spansOf(marks: readonly Mark[], direction: Direction): Span[] {
  const outward = direction === 'above' ? [...marks] : [...marks].reverse()
  const end = direction === 'above' ? 1 : 0
  return outward
    .map((mark, index): Span => {
      const next = outward[index + 1]?.x ?? end
      return { severity: mark.severity, from: Math.min(mark.x, next), to: Math.max(mark.x, next) }
    })
    .filter((span) => span.to > span.from)
}
