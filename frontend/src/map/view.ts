/** The only door to MapLibre: the city as a map that shows tickets, alerts and devices, and tells what was clicked. */
import { type GeoJSONSource, Map as MapLibre, Marker, NavigationControl, Popup, type VectorTileSource, setWorkerUrl } from 'maplibre-gl'
import type { Feature, GeoJsonProperties, Point } from 'geojson'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url'
import 'maplibre-gl/dist/maplibre-gl.css'
import '../styles/map.css'
import type { Alert, Bounds, Camera, Device, MapDescription, Severity, Ticket, Tier } from '../contract'
import { recolour, severityByCell } from './cells'
import { viewCone } from './cone'
import type { Place } from './drill'
import { onOutdated } from './ground'
import { SHARPNESS, icons } from './icon'
import type { LayerName } from './layer'
import type { Palette } from './palette'
import { TILE_LAYERS, cityStyle, shownLayers, tileAddress } from './style'

setWorkerUrl(workerUrl)

export interface Wording {
  inferred: string
  zoom_in: string
  zoom_out: string
}

export interface Listener {
  ready(): void
  choose(ticket: string): void
  sensor?(id: string, at: { lng: number; lat: number }): void
  /** `cell`: the one that was hit while risk is shown. */
  click(hits: Place[], at: { lng: number; lat: number }, cell: string | null): void
  /** A tile's version has ended: the ground was drawn anew. */
  outdated(): void
  /** The map became narrower or wider. */
  resized?(): void
}

const TICKET_ZOOM = 13
const CONE_REACH_M = 60
const PULSES_MS = 4_500

export class CityView {
  private readonly map: MapLibre
  private colours: ReadonlyMap<string, Severity> = new Map()
  private risks: ReadonlyMap<string, number> = new Map()
  private chosenCell: string | null = null
  private offered: Popup | null = null
  private readonly deaf: () => void
  /** Work that waits until the style is there; null afterwards. */
  private waiting: (() => void)[] | null = []

  constructor(
    place: HTMLElement,
    description: MapDescription,
    root: Tier,
    private readonly palette: Palette,
    words: Wording,
    private readonly listener: Listener,
  ) {
    this.map = new MapLibre({
      container: place,
      style: cityStyle(description, palette, words.inferred, root),
      bounds: description.bounds,
      fitBoundsOptions: { padding: this.padding() },
      minZoom: 6,
      maxZoom: 18,
      attributionControl: false,
      // A ticket is there or not; nothing fades in.
      fadeDuration: 0,
      dragRotate: false,
      pitchWithRotate: false,
      renderWorldCopies: false,
      locale: { 'NavigationControl.ZoomIn': words.zoom_in, 'NavigationControl.ZoomOut': words.zoom_out },
    })
    this.map.touchZoomRotate.disableRotation()
    this.map.addControl(new NavigationControl({ showCompass: false }), 'top-left')
    this.map.once('style.load', () => this.begin())
    this.map.once('idle', () => listener.ready())
    this.map.on('click', (event) => this.click(event.point))
    this.map.on('mousemove', (event) => this.point(event.point))
    this.map.on('error', (event) => console.warn('map:', event.error.message))
    let width = place.clientWidth
    this.map.on('resize', () => {
      // What comes and goes above the map must not take away the view that a reader has chosen.
      if (place.clientWidth === width) return
      width = place.clientWidth
      listener.resized?.()
    })
    this.deaf = onOutdated(() => listener.outdated())
  }

  remove(): void {
    this.deaf()
    this.waiting = []
    this.map.remove()
  }

  /** Go on with the tiles that are valid now; a layer whose version is still the same keeps what it has. */
  renew(description: MapDescription): void {
    this.later(() => {
      for (const layer of TILE_LAYERS) {
        const source = this.map.getSource<VectorTileSource>(layer)
        const address = tileAddress(description, layer)
        if (source && source.tiles[0] !== address) source.setTiles([address])
      }
    })
  }

  showTickets(tickets: readonly Ticket[]): void {
    this.later(() =>
      this.fill(
        'tickets',
        tickets.map((ticket) => point(ticket, { id: ticket.id, severity: ticket.severity })),
      ),
    )
  }

  showAlerts(alerts: Iterable<Alert>): void {
    const after = severityByCell(alerts)
    this.later(() => {
      for (const [id, severity] of recolour(this.colours, after)) {
        this.map.setFeatureState({ source: 'cells', sourceLayer: 'cells', id }, { severity: severity ?? 0 })
      }
      this.colours = after
    })
  }

  /** Scores by cell. */
  showRisks(scores: ReadonlyMap<string, number>): void {
    this.later(() => {
      for (const [id, risk] of recolour(this.risks, scores)) {
        this.map.setFeatureState({ source: 'cells', sourceLayer: 'cells', id }, { risk: risk ?? 0 })
      }
      this.risks = scores
    })
  }

  /** Outline the regions in wartime operation. */
  showWar(regions: readonly string[]): void {
    this.later(() => this.map.setFilter('at-war', ['in', ['get', 'code'], ['literal', [...regions]]]))
  }

  /** Mark a cell and leave the view as it is. */
  mark(cell: string | null): void {
    this.later(() => this.markCell(cell))
  }

  /** A button at a place of the map, which goes with the next click; null takes it away. */
  offer(offer: { at: { lng: number; lat: number }; words: string; act: () => void } | null): void {
    this.offered?.remove()
    this.offered = null
    if (!offer) return
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'button'
    button.dataset.testid = 'map-drill'
    button.textContent = offer.words
    button.addEventListener('click', () => {
      this.offer(null)
      offer.act()
    })
    this.offered = new Popup({ closeButton: false, focusAfterOpen: false, maxWidth: 'none', offset: 8 }).setLngLat(offer.at).setDOMContent(button).addTo(this.map)
  }

  showDevices(kind: 'cameras' | 'sensors', devices: readonly (Device | Camera)[]): void {
    this.later(() => {
      this.fill(
        kind,
        devices.map((device) => point(device, { id: device.id, state: device.state })),
      )
      if (kind === 'cameras') this.fill('cones', (devices as readonly Camera[]).flatMap(cone))
    })
  }

  showLayers(shown: Record<LayerName, boolean>): void {
    this.later(() => {
      for (const [layer, visible] of shownLayers(shown)) this.map.setLayoutProperty(layer, 'visibility', visible ? 'visible' : 'none')
    })
  }

  /** Bring a region into view and let what lies beside it step back; null: the account's whole region. */
  look(bounds: Bounds, region: { code: string; tier: Tier } | null): void {
    this.later(() => {
      this.map.setFilter(
        'outside',
        region ? ['all', ['==', ['get', 'tier'], region.tier], ['!=', ['get', 'code'], region.code]] : ['literal', false],
      )
      this.map.fitBounds(bounds, { padding: this.padding(), duration: 700 })
    })
  }

  /** Mark a ticket and its cell and fly there; `beside_px` of the map's right side are covered by a panel. */
  choose(ticket: Pick<Ticket, 'lng' | 'lat' | 'cell'> | null, beside_px: number): void {
    this.later(() => {
      this.fill('chosen', ticket ? [point(ticket, {})] : [])
      this.markCell(ticket?.cell ?? null)
      if (!ticket) return
      this.map.flyTo({
        center: [ticket.lng, ticket.lat],
        zoom: Math.max(this.map.getZoom(), TICKET_ZOOM),
        offset: [-beside_px / 2, 0],
        duration: 900,
      })
    })
  }

  /** A ring that pulses three times where a grave ticket has just appeared, then goes. */
  pulse(ticket: Ticket): void {
    const ring = document.createElement('div')
    ring.className = `pulse-ring severity-${ticket.severity}`
    const marker = new Marker({ element: ring }).setLngLat([ticket.lng, ticket.lat]).addTo(this.map)
    setTimeout(() => marker.remove(), PULSES_MS)
  }

  private begin(): void {
    for (const [name, picture] of icons(this.palette)) this.map.addImage(name, picture, { pixelRatio: SHARPNESS })
    const waiting = this.waiting ?? []
    this.waiting = null
    waiting.forEach((work) => work())
  }

  private later(work: () => void): void {
    if (this.waiting) this.waiting.push(work)
    else work()
  }

  private fill(source: string, features: Feature[]): void {
    this.map.getSource<GeoJSONSource>(source)?.setData({ type: 'FeatureCollection', features })
  }

  private markCell(cell: string | null): void {
    const mark = (id: string, chosen: boolean) => this.map.setFeatureState({ source: 'cells', sourceLayer: 'cells', id }, { chosen })
    if (this.chosenCell) mark(this.chosenCell, false)
    if (cell) mark(cell, true)
    this.chosenCell = cell
  }

  private padding() {
    const unit = this.palette.text_px
    return { top: unit * 3.5, bottom: unit * 5, left: unit * 2, right: unit * 2 }
  }

  private drawnAt(at: { x: number; y: number }, ...layers: ('pins' | 'sensors')[]) {
    const reach = this.palette.text_px * 0.4
    const box: [[number, number], [number, number]] = [
      [at.x - reach, at.y - reach],
      [at.x + reach, at.y + reach],
    ]
    return this.map.queryRenderedFeatures(box, { layers })
  }

  private click(at: { x: number; y: number }): void {
    const pin = this.drawnAt(at, 'pins')[0]
    const sensor = this.drawnAt(at, 'sensors')[0]
    if (pin?.properties.point_count) void this.open(pin.properties.cluster_id as number, pin.geometry as Point)
    else if (pin) this.listener.choose(String(pin.properties.id))
    else if (sensor && this.listener.sensor) this.listener.sensor(String(sensor.properties.id), this.map.unproject([at.x, at.y]))
    else this.listener.click(this.regionsAt(at), this.map.unproject([at.x, at.y]), this.cellAt(at))
  }

  private cellAt(at: { x: number; y: number }): string | null {
    const cell = this.map.queryRenderedFeatures([at.x, at.y], { layers: ['cells-risk'] })[0]
    return cell ? String(cell.properties.code) : null
  }

  private regionsAt(at: { x: number; y: number }): Place[] {
    return this.map
      .queryRenderedFeatures([at.x, at.y], { layers: ['land'] })
      .map(({ properties }) => ({ code: String(properties.code), name: String(properties.name), tier: properties.tier as Tier }))
  }

  private async open(cluster: number, geometry: Point): Promise<void> {
    const zoom = (await this.map.getSource<GeoJSONSource>('tickets')?.getClusterExpansionZoom(cluster)) ?? this.map.getZoom() + 1
    this.map.easeTo({ center: geometry.coordinates as [number, number], zoom })
  }

  private point(at: { x: number; y: number }): void {
    this.map.getCanvas().style.cursor = this.waiting === null && this.drawnAt(at, 'pins', 'sensors').length > 0 ? 'pointer' : ''
  }
}

function point(place: { lng: number; lat: number }, properties: GeoJsonProperties): Feature {
  return { type: 'Feature', geometry: { type: 'Point', coordinates: [place.lng, place.lat] }, properties }
}

function cone(camera: Camera): Feature[] {
  const ring = viewCone(camera, CONE_REACH_M)
  return ring ? [{ type: 'Feature', geometry: { type: 'Polygon', coordinates: [ring] }, properties: {} }] : []
}
