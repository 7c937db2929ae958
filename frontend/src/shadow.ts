/** A shadow run beside the rule in force, day by day. */
import type { ShadowRun } from './contract'

export interface ShadowDay {
  day: string
  shadow: number
  in_force: number
}

/** Every day on which either alerted, oldest first; the other's zero is said, not left out. */
export function daysOf(run: Pick<ShadowRun, 'shadow' | 'in_force'>): ShadowDay[] {
  const days = new Map<string, ShadowDay>()
  for (const side of ['shadow', 'in_force'] as const) {
    for (const { day, count } of run[side].per_day) {
      const found = days.get(day) ?? { day, shadow: 0, in_force: 0 }
      days.set(day, { ...found, [side]: found[side] + count })
    }
  }
  return [...days.values()].sort((a, b) => a.day.localeCompare(b.day))
}
