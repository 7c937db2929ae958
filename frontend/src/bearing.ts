/** Where something lies, seen from somewhere: one of eight winds, as people say it. */
interface Point {
  lng: number
  lat: number
}

export const WINDS = ['n', 'ne', 'e', 'se', 's', 'sw', 'w', 'nw'] as const
export type Wind = (typeof WINDS)[number]

/** Degrees clockwise from north; good for the few kilometres of a town. */
export function bearing(from: Point, to: Point): number {
  const east = (to.lng - from.lng) * Math.cos((from.lat * Math.PI) / 180)
  return ((Math.atan2(east, to.lat - from.lat) * 180) / Math.PI + 360) % 360
}

export function windOf(degrees: number): Wind {
  return WINDS[Math.round(degrees / 45) % 8] ?? 'n'
}
