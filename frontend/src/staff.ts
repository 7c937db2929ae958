/** People on duty as a page shows them: a day as a strip, loads that compare, positions that age. Pure. */
import { dayAt, fromPicked } from './cityTime'
import type { Shift, StaffMember, Tier } from './contract'

/** Tiers that set up routing and people. */
export const ADMINISTRATORS: readonly Tier[] = ['city', 'county', 'township']

const DAY_MS = 86_400_000
/** Where somebody was longer ago says nothing about who is nearest; as the server judges it. */
export const FRESH_S = 30 * 60
/** A load below which nobody is busy: bars are measured by it at least. */
const LIGHT_LOAD = 5

/** "2026-11-24" some days later. */
export function dayBeside(day: string, by: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + by * DAY_MS).toISOString().slice(0, 10)
}

/** The first and last moment of a day on the city's clock, in ms; null when it is no day. */
export function dayBounds(day: string, zone: string | undefined): [from_ms: number, to_ms: number] | null {
  if (Number.isNaN(Date.parse(`${day}T00:00:00Z`))) return null
  const [from, to] = [day, dayBeside(day, 1)].map((one) => fromPicked(`${one}T00:00`, zone))
  return from && to ? [Date.parse(from), Date.parse(to)] : null
}

/** Where a span lies on a strip, in percent of its width; null when it does not touch it. */
export function stretch(starts_ms: number, ends_ms: number, [from_ms, to_ms]: readonly [number, number]): { left: number; width: number } | null {
  const [first, last] = [Math.max(starts_ms, from_ms), Math.min(ends_ms, to_ms)]
  if (last <= first) return null
  const percent = (length_ms: number): number => (100 * length_ms) / (to_ms - from_ms)
  return { left: percent(first - from_ms), width: percent(last - first) }
}

export function shiftState(shift: Pick<Shift, 'starts_at' | 'ends_at'>, now_ms: number): 'to_come' | 'running' | 'over' {
  if (Date.parse(shift.ends_at) <= now_ms) return 'over'
  return Date.parse(shift.starts_at) > now_ms ? 'to_come' : 'running'
}

export function shiftsByAccount(shifts: readonly Shift[]): Map<string, Shift[]> {
  const found = new Map<string, Shift[]>()
  for (const shift of shifts) found.set(shift.account, [...(found.get(shift.account) ?? []), shift])
  return found
}

/** A hundred percent is the busiest of all, or a light load when nobody has more. */
export function loadShare(open_tickets: number, people: readonly Pick<StaffMember, 'open_tickets'>[]): number {
  return (100 * open_tickets) / Math.max(LIGHT_LOAD, ...people.map((person) => person.open_tickets))
}

export type StaffView = 'all' | 'on_duty' | 'off_duty'

/** By duty, by a skill, and by words in name, desk or account. */
export function siftStaff(people: readonly StaffMember[], sieve: { view: StaffView; skill: string; words: string }): StaffMember[] {
  const words = sieve.words.trim().toLowerCase()
  return people.filter(
    (person) =>
      (sieve.view === 'all' || (person.on_duty !== null) === (sieve.view === 'on_duty')) &&
      (sieve.skill === '' || person.skills.includes(sieve.skill)) &&
      `${person.name} ${person.region_name} ${person.account}`.toLowerCase().includes(words),
  )
}

/** A shift that ends in a year or later has no end that a clock time could tell. */
export function isEndless(ends_at: string, now_ms: number): boolean {
  return Date.parse(ends_at) - now_ms > 365 * DAY_MS
}

/** What is wrong with a shift before it is asked for: the message's key below `staff.`, null when nothing is. */
export function fault(account: string, starts_at: string | null, ends_at: string | null): 'who' | 'times' | 'order' | 'long' | null {
  if (account === '') return 'who'
  if (!starts_at || !ends_at) return 'times'
  const length_ms = Date.parse(ends_at) - Date.parse(starts_at)
  return length_ms <= 0 ? 'order' : length_ms > 31 * DAY_MS ? 'long' : null
}

/** The day that it is in the city. */
export function today(now_ms: number, zone: string | undefined): string {
  return dayAt(now_ms, zone)
}
