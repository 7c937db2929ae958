/**
 * Is what the screen shows current? Three things can be away, and the nearest to the reader is named first: the link to the
 * server (no `pulse`), the worker (no beat) and the data (no reading received).
 */
import type { Pulse } from './contract'

export const LATE_S = 4
export const STALE_S = 10

export type Missing = 'link' | 'worker' | 'data'
export interface Freshness {
  state: 'live' | 'late' | 'stale'
  /** What is away; null while live. */
  missing: Missing | null
  /** Since when, as server time in ms; null when it was never heard. */
  since_ms: number | null
  /** Seconds since the newest reading was received; null when there is none. */
  data_age_s: number | null
}

/**
 * @param now_ms      server time
 * @param silence_s   seconds since the last pulse, by a clock that cannot jump
 * @param pulse       the last pulse, null when none was heard on this page
 */
export function freshness(now_ms: number, silence_s: number, pulse: Pulse | null): Freshness {
  const data_age_s = ageOf(pulse?.data_at ?? null, now_ms)
  const link_since_ms = pulse ? Date.parse(pulse.at) : null
  if (silence_s >= STALE_S) return { state: 'stale', missing: 'link', since_ms: link_since_ms, data_age_s }
  // A silent link says nothing of worker and data: they are judged by the last pulse's own time, not by now.
  const told_ms = link_since_ms ?? now_ms
  const beat_age_s = pulse ? (ageOf(pulse.worker_at, told_ms) ?? Infinity) : 0
  const told_age_s = ageOf(pulse?.data_at ?? null, told_ms)
  if (beat_age_s >= STALE_S) return { state: 'stale', missing: 'worker', since_ms: instant(pulse?.worker_at), data_age_s }
  if (told_age_s !== null && told_age_s >= STALE_S) {
    return { state: 'stale', missing: 'data', since_ms: instant(pulse?.data_at), data_age_s }
  }
  if (silence_s >= LATE_S) return { state: 'late', missing: 'link', since_ms: link_since_ms, data_age_s }
  if (beat_age_s >= LATE_S) return { state: 'late', missing: 'worker', since_ms: instant(pulse?.worker_at), data_age_s }
  if (told_age_s !== null && told_age_s >= LATE_S) {
    return { state: 'late', missing: 'data', since_ms: instant(pulse?.data_at), data_age_s }
  }
  return { state: 'live', missing: null, since_ms: null, data_age_s }
}

function ageOf(at: string | null, now_ms: number): number | null {
  return at === null ? null : Math.max(0, (now_ms - Date.parse(at)) / 1000)
}

function instant(at: string | null | undefined): number | null {
  return at ? Date.parse(at) : null
}
