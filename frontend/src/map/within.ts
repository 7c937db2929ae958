/** Which outline a place lies in, without asking anybody. */
import type { Feature, FeatureCollection, Position } from 'geojson'

/** Whether a place lies in a feature's polygons, their holes left out. */
export function liesIn(feature: Feature, lng: number, lat: number): boolean {
  const { geometry } = feature
  if (geometry?.type === 'Polygon') return inPolygon(geometry.coordinates, lng, lat)
  if (geometry?.type === 'MultiPolygon') return geometry.coordinates.some((polygon) => inPolygon(polygon, lng, lat))
  return false
}

/** The region of a tier in which a place lies; null outside of all. */
export function regionAt(ground: FeatureCollection, tier: string, lng: number, lat: number): string | null {
  const found = ground.features.find((feature) => feature.properties?.tier === tier && liesIn(feature, lng, lat))
  return found ? String(found.properties?.name ?? '') : null
}

/** West, south, east, north of everything; null when there is nothing. */
export function boundsOf(ground: FeatureCollection): [number, number, number, number] | null {
  const bounds: [number, number, number, number] = [Infinity, Infinity, -Infinity, -Infinity]
  for (const { geometry } of ground.features) {
    const polygons = geometry?.type === 'Polygon' ? [geometry.coordinates] : geometry?.type === 'MultiPolygon' ? geometry.coordinates : []
    for (const [lng = 0, lat = 0] of polygons.flatMap((polygon) => polygon[0] ?? [])) {
      bounds[0] = Math.min(bounds[0], lng)
      bounds[1] = Math.min(bounds[1], lat)
      bounds[2] = Math.max(bounds[2], lng)
      bounds[3] = Math.max(bounds[3], lat)
    }
  }
  return bounds[0] === Infinity ? null : bounds
}

function inPolygon([outer, ...holes]: Position[][], lng: number, lat: number): boolean {
  return outer !== undefined && inRing(outer, lng, lat) && !holes.some((hole) => inRing(hole, lng, lat))
}

/** A ray to the east crosses the ring an odd number of times when it starts inside. */
function inRing(ring: Position[], lng: number, lat: number): boolean {
  let inside = false
  ring.forEach(([x = 0, y = 0], index) => {
    const [px = 0, py = 0] = ring[(index + ring.length - 1) % ring.length] ?? []
    if (y > lat !== py > lat && lng < ((px - x) * (lat - y)) / (py - y) + x) inside = !inside
  })
  return inside
}
