/** What a camera looks at, drawn as a sector on the ground. */
import type { Camera } from '../contract'

const METRES_PER_DEGREE = 111_320

/**
 * @param camera   direction in degrees from north, clockwise; field of view in degrees
 * @param reach_m  how far the sector is drawn; a drawing aid, not the camera's range
 * @returns a closed ring of [lng, lat], or null when the camera tells no direction
 */
export function viewCone(camera: Pick<Camera, 'lng' | 'lat' | 'direction' | 'field_of_view'>, reach_m: number): [number, number][] | null {
  const { lng, lat, direction, field_of_view } = camera
  if (direction === null || field_of_view === null) return null
  const steps = Math.max(2, Math.ceil(field_of_view / 10))
  const arc = Array.from({ length: steps + 1 }, (_, index): [number, number] => {
    const bearing = ((direction - field_of_view / 2 + (field_of_view * index) / steps) * Math.PI) / 180
    const east_m = reach_m * Math.sin(bearing)
    const north_m = reach_m * Math.cos(bearing)
    return [lng + east_m / (METRES_PER_DEGREE * Math.cos((lat * Math.PI) / 180)), lat + north_m / METRES_PER_DEGREE]
  })
  return [[lng, lat], ...arc, [lng, lat]]
}
