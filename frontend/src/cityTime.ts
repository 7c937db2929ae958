/** The city's clock: times are told in its zone, wherever the screen that shows them stands. */

interface Parts {
  year: string
  month: string
  day: string
  hour: string
  minute: string
  second: string
}

const formats = new Map<string, Intl.DateTimeFormat>()

function format(zone: string | undefined): Intl.DateTimeFormat {
  const key = zone ?? ''
  let found = formats.get(key)
  if (!found) {
    const shape = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const
    found = new Intl.DateTimeFormat('en-GB', zone ? { ...shape, timeZone: zone } : shape)
    formats.set(key, found)
  }
  return found
}

/** @param zone IANA name; undefined means the reader's own, which stands in until the city's is known */
export function partsAt(at_ms: number, zone: string | undefined): Parts {
  const parts = Object.fromEntries(format(zone).formatToParts(at_ms).map(({ type, value }) => [type, value]))
  return parts as unknown as Parts
}

/** 21:04:07 */
export function clockFace(at_ms: number, zone: string | undefined, withSeconds = true): string {
  const { hour, minute, second } = partsAt(at_ms, zone)
  return withSeconds ? `${hour}:${minute}:${second}` : `${hour}:${minute}`
}

/** 2026-11-23 */
export function dayAt(at_ms: number, zone: string | undefined): string {
  const { year, month, day } = partsAt(at_ms, zone)
  return `${year}-${month}-${day}`
}

/** "UTC+8": what to write beside a time for a reader who stands in another zone. */
export function offsetName(at_ms: number, zone: string | undefined): string {
  const { year, month, day, hour, minute, second } = partsAt(at_ms, zone)
  const wall_ms = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second)
  const minutes = Math.round((wall_ms - at_ms) / 60_000)
  if (minutes === 0) return 'UTC'
  const size = Math.abs(minutes)
  const rest = size % 60
  return `UTC${minutes < 0 ? '−' : '+'}${Math.floor(size / 60)}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`
}

/** A time picked in a form ("2026-11-23T21:04" by the city's clock) as RFC 3339; null when it is none. */
export function fromPicked(picked: string, zone: string | undefined): string | null {
  const named = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})/.exec(picked)
  if (!named) return null
  const [year, month, day, hour, minute] = named.slice(1).map(Number) as [number, number, number, number, number]
  const wanted_ms = Date.UTC(year, month - 1, day, hour, minute)
  // The zone's offset may differ on both sides of a change: the second look corrects the first.
  let at_ms = wanted_ms
  for (let look = 0; look < 2; look += 1) at_ms = wanted_ms - offset_ms(at_ms, zone)
  return new Date(at_ms).toISOString()
}

/** The value a `datetime-local` field wants for a moment. */
export function toPicked(at_ms: number, zone: string | undefined): string {
  const { hour, minute } = partsAt(at_ms, zone)
  return `${dayAt(at_ms, zone)}T${hour}:${minute}`
}

function offset_ms(at_ms: number, zone: string | undefined): number {
  const { year, month, day, hour, minute, second } = partsAt(at_ms, zone)
  return Date.UTC(+year, +month - 1, +day, +hour, +minute, +second) - Math.floor(at_ms / 1000) * 1000
}
