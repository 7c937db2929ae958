/** The door to MapLibre for people without an account: the city's outlines, and one pin that they put where something is. */
import type { FeatureCollection } from 'geojson'
import { type GeoJSONSource, type LayerSpecification, Map as MapLibre, Marker, NavigationControl, type StyleSpecification, setWorkerUrl } from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url'
import 'maplibre-gl/dist/maplibre-gl.css'
import '../styles/map.css'
import { viewCone } from './cone'
import type { Palette } from './palette'
import { FACES, FONT } from './style'
import { boundsOf } from './within'

setWorkerUrl(workerUrl)

export interface Pin {
  lng: number
  lat: number
  accuracy_m: number | null
}

/** The ground has no streets: nearer than this nothing tells where one is. */
const PIN_ZOOM = 12
const TOWNS_FROM_ZOOM = 9.5
const NOTHING: FeatureCollection = { type: 'FeatureCollection', features: [] }

export class PlaceView {
  private readonly map: MapLibre
  private readonly marker: Marker
  private pinned = false

  /** @param moved a person put the pin somewhere else */
  constructor(
    place: HTMLElement,
    ground: FeatureCollection,
    palette: Palette,
    words: { zoom_in: string; zoom_out: string },
    moved: (at: { lng: number; lat: number }) => void,
    ready: () => void,
  ) {
    const bounds = boundsOf(ground)
    this.map = new MapLibre({
      container: place,
      style: groundStyle(ground, palette),
      ...(bounds ? { bounds, fitBoundsOptions: { padding: 12 } } : {}),
      minZoom: 6,
      maxZoom: 18,
      attributionControl: false,
      fadeDuration: 0,
      dragRotate: false,
      pitchWithRotate: false,
      renderWorldCopies: false,
      locale: { 'NavigationControl.ZoomIn': words.zoom_in, 'NavigationControl.ZoomOut': words.zoom_out },
    })
    this.map.touchZoomRotate.disableRotation()
    this.map.addControl(new NavigationControl({ showCompass: false }), 'top-left')
    this.marker = new Marker({ color: palette.accent, draggable: true })
    this.marker.on('dragend', () => moved(this.marker.getLngLat()))
    this.map.on('click', (event) => moved(event.lngLat))
    this.map.once('idle', ready)
    this.map.on('error', (event) => console.warn('map:', event.error.message))
  }

  /** Show the pin, the circle that a device is sure about, and bring both into view when the pin came from afar. */
  show(pin: Pin | null): void {
    if (!pin) {
      this.marker.remove()
      this.pinned = false
      return
    }
    this.marker.setLngLat([pin.lng, pin.lat])
    if (!this.pinned) this.marker.addTo(this.map)
    this.whenLoaded(() => this.map.getSource<GeoJSONSource>('accuracy')?.setData(sureOf(pin)))
    if (!this.pinned || pin.accuracy_m !== null) this.map.easeTo({ center: [pin.lng, pin.lat], zoom: Math.max(this.map.getZoom(), PIN_ZOOM), duration: 600 })
    this.pinned = true
  }

  remove(): void {
    this.map.remove()
  }

  private whenLoaded(work: () => void): void {
    if (this.map.isStyleLoaded()) work()
    else this.map.once('load', work)
  }
}

/** The circle that the device is sure about: a view all round. */
function sureOf(pin: Pin): FeatureCollection {
  const ring = pin.accuracy_m === null ? null : viewCone({ ...pin, direction: 0, field_of_view: 360 }, pin.accuracy_m)
  if (!ring) return NOTHING
  return { type: 'FeatureCollection', features: [{ type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: [ring] } }] }
}

function groundStyle(ground: FeatureCollection, palette: Palette): StyleSpecification {
  const of = (tier: string) => ['==', ['get', 'tier'], tier] as ['==', unknown, string]
  const line = (tier: 'county' | 'township', width: number): LayerSpecification => ({
    id: `line-${tier}`,
    type: 'line',
    source: 'ground',
    filter: of(tier) as never,
    paint: { 'line-color': palette.border[tier], 'line-width': width },
  })
  const label = (tier: 'county' | 'township', zooms: { minzoom?: number; maxzoom?: number }, size: number): LayerSpecification => ({
    id: `label-${tier}`,
    type: 'symbol',
    source: 'ground',
    ...zooms,
    filter: of(tier) as never,
    layout: { 'text-field': ['get', 'name'], 'text-font': [FONT], 'text-size': size, 'text-padding': 4 },
    paint: { 'text-color': tier === 'county' ? palette.text : palette.quiet, 'text-halo-color': palette.land, 'text-halo-width': 1.5 },
  })
  return {
    version: 8,
    'font-faces': FACES,
    sources: { ground: { type: 'geojson', data: ground }, accuracy: { type: 'geojson', data: NOTHING } },
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': palette.ground } },
      { id: 'land', type: 'fill', source: 'ground', filter: of('county') as never, paint: { 'fill-color': palette.land } },
      line('township', 1),
      line('county', 2),
      { id: 'accuracy', type: 'fill', source: 'accuracy', paint: { 'fill-color': palette.accent, 'fill-opacity': 0.18 } },
      label('township', { minzoom: TOWNS_FROM_ZOOM }, palette.text_px),
      label('county', { maxzoom: TOWNS_FROM_ZOOM }, palette.text_px * 1.1),
    ],
  }
}
