/**
 * The map's own style, bottom to top: land, water and roads, cells, borders, devices, labels, pins. Pins stand above the labels
 * because a map places its topmost symbols first: a label then gives way to a pin by moving round its anchor, never the reverse.
 * No `glyphs`: every character is drawn in the browser from the bundled face.
 */
import type { FeatureCollection } from 'geojson'
import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl'
import latinFace from '@fontsource/noto-sans-sc/files/noto-sans-sc-latin-600-normal.woff2?url'
import chineseFace from '@fontsource/noto-sans-sc/files/noto-sans-sc-chinese-simplified-600-normal.woff2?url'
import { TIERS, type MapDescription, type Tier } from '../contract'
import type { LayerName } from './layer'
import type { Palette } from './palette'

export const CLUSTER_BELOW_ZOOM = 12
export const CONES_FROM_ZOOM = 15
/** Tiles are asked for to this zoom; closer views enlarge them. */
const TILES_TO_ZOOM = 16
const CELLS_FROM_ZOOM = 8
/** Text of the screen that the zooms below are written for: a wall of 1080 lines. */
const TEXT_PX = 17.3
export const FONT = 'Noto Sans SC'
export const FACES: NonNullable<StyleSpecification['font-faces']> = {
  [FONT]: [
    { url: latinFace, 'unicode-range': ['U+0000-00FF'] },
    { url: chineseFace, 'unicode-range': ['U+0100-10FFFF'] },
  ],
}
export const TILE_LAYERS = ['regions', 'cells', 'water'] as const
type TileLayer = (typeof TILE_LAYERS)[number]
const NOTHING: FeatureCollection = { type: 'FeatureCollection', features: [] }

export const LAYERS_OF: Record<LayerName, readonly string[]> = {
  tickets: ['pins', 'chosen'],
  cells: ['cells', 'cell-lines', 'cell-chosen'],
  risk: ['cells-risk', 'cell-lines', 'cell-chosen'],
  water: ['lakes', 'rivers', 'roads'],
  cameras: ['cones', 'cameras'],
  sensors: ['sensors'],
}

/** Cells have one colour at a time: risk takes the place of alerts. Lines and the chosen cell belong to both. */
export function shownLayers(shown: Record<LayerName, boolean>): Map<string, boolean> {
  const names = Object.keys(LAYERS_OF) as LayerName[]
  const visible = new Map(names.flatMap((name) => LAYERS_OF[name].map((layer): [string, boolean] => [layer, names.some((other) => shown[other] && LAYERS_OF[other].includes(layer))])))
  if (shown.risk) visible.set('cells', false)
  return visible
}

/** @param root the tier of the account's region: what lies above it is not the reader's ground and stays bare */
export function cityStyle(description: MapDescription, palette: Palette, inferred: string, root: Tier): StyleSpecification {
  return {
    version: 8,
    'font-faces': FACES,
    sources: sources(description, palette),
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': palette.ground } },
      land(palette, root),
      ...water(palette),
      ...cells(palette),
      outside(palette),
      ...borders(palette),
      atWar(palette),
      chosenCell(palette),
      ...devices(palette),
      ...labels(palette, inferred),
      ...pins(palette),
    ],
  }
}

/** Zooms by which names and fine borders come later on a screen with larger text: the same view holds the same names. */
function shiftOf(palette: Palette): number {
  return Math.log2(palette.text_px / TEXT_PX)
}

/**
 * Where a layer's tiles are, by the door in ground.ts: the version is part of it, so that what was fetched once need never be
 * asked for again.
 */
export function tileAddress(description: MapDescription, layer: TileLayer): string {
  return `ground://tiles/${layer}/${description.layers[layer].version}/{z}/{x}/{y}.mvt`
}

function sources(description: MapDescription, palette: Palette): StyleSpecification['sources'] {
  const tiles = (layer: TileLayer) => ({
    type: 'vector' as const,
    tiles: [tileAddress(description, layer)],
    maxzoom: TILES_TO_ZOOM,
    bounds: description.city_bounds,
  })
  const points = { type: 'geojson' as const, data: NOTHING }
  return {
    regions: { ...tiles('regions'), promoteId: 'code' },
    cells: { ...tiles('cells'), minzoom: CELLS_FROM_ZOOM, promoteId: 'code' },
    water: tiles('water'),
    tickets: {
      ...points,
      cluster: true,
      clusterMaxZoom: CLUSTER_BELOW_ZOOM - 1,
      clusterRadius: Math.round(palette.text_px * 2.6),
      clusterProperties: { severity: ['max', ['get', 'severity']] },
    },
    chosen: points,
    cameras: points,
    cones: points,
    sensors: points,
  }
}

function land(palette: Palette, root: Tier): LayerSpecification {
  const own = TIERS.slice(TIERS.indexOf(root))
  return {
    id: 'land',
    type: 'fill',
    source: 'regions',
    'source-layer': 'regions',
    filter: ['in', ['get', 'tier'], ['literal', own]],
    paint: { 'fill-color': palette.land },
  }
}

function water(palette: Palette): LayerSpecification[] {
  const of = (kind: string): ExpressionSpecification => ['==', ['get', 'kind'], kind]
  const widening = (thin: number, thick: number): ExpressionSpecification => ['interpolate', ['linear'], ['zoom'], 8, thin, 14, thick]
  const layer = { source: 'water', 'source-layer': 'water' }
  return [
    { id: 'roads', type: 'line', ...layer, filter: of('road'), paint: { 'line-color': palette.road, 'line-width': widening(1, 5), 'line-opacity': ['case', ['==', ['get', 'rank'], 1], 1, 0.5] } },
    { id: 'lakes', type: 'fill', ...layer, filter: of('lake'), paint: { 'fill-color': palette.water } },
    {
      id: 'rivers',
      type: 'line',
      ...layer,
      filter: of('river'),
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': palette.water, 'line-width': widening(2.5, 12) },
    },
  ]
}

const RISK: ExpressionSpecification = ['coalesce', ['feature-state', 'risk'], 0]

function riskColour({ risk }: Palette): ExpressionSpecification {
  return ['step', RISK, risk[0] ?? '', ...risk.slice(1).flatMap((colour, step) => [(step + 1) * 20, colour])] as ExpressionSpecification
}

function cells(palette: Palette): LayerSpecification[] {
  const severity: ExpressionSpecification = ['coalesce', ['feature-state', 'severity'], 0]
  const colour: ExpressionSpecification = [
    'match',
    severity,
    1,
    palette.severity[1],
    2,
    palette.severity[2],
    3,
    palette.severity[3],
    4,
    palette.severity[4],
    palette.land,
  ]
  const layer = { source: 'cells', 'source-layer': 'cells' }
  return [
    { id: 'cells', type: 'fill', ...layer, paint: { 'fill-color': colour, 'fill-opacity': ['case', ['>', severity, 0], 0.35, 0] } },
    { id: 'cells-risk', type: 'fill', ...layer, layout: { visibility: 'none' }, paint: { 'fill-color': riskColour(palette), 'fill-opacity': ['case', ['>', RISK, 0], 0.6, 0] } },
    {
      id: 'cell-lines',
      type: 'line',
      ...layer,
      paint: { 'line-color': palette.cell_line, 'line-width': 1, 'line-opacity': ['interpolate', ['linear'], ['zoom'], 8, 0.25, 11, 1] },
    },
  ]
}

function chosenCell(palette: Palette): LayerSpecification {
  return {
    id: 'cell-chosen',
    type: 'line',
    source: 'cells',
    'source-layer': 'cells',
    paint: { 'line-color': palette.accent, 'line-width': 3, 'line-opacity': ['case', ['boolean', ['feature-state', 'chosen'], false], 1, 0] },
  }
}

/** The border of what is in wartime operation; the filter is set by what is in force. */
function atWar(palette: Palette): LayerSpecification {
  return {
    id: 'at-war',
    type: 'line',
    source: 'regions',
    'source-layer': 'regions',
    filter: ['literal', false],
    layout: { 'line-join': 'round' },
    paint: { 'line-color': palette.war, 'line-width': Math.max(4, palette.text_px / 4), 'line-dasharray': [3, 1] },
  }
}

/** What lies outside the region in view steps back; the filter is set when a region is chosen. */
function outside(palette: Palette): LayerSpecification {
  return {
    id: 'outside',
    type: 'fill',
    source: 'regions',
    'source-layer': 'regions',
    filter: ['literal', false],
    paint: { 'fill-color': palette.ground, 'fill-opacity': 0.6 },
  }
}

function borders(palette: Palette): LayerSpecification[] {
  const scale = Math.max(1, palette.text_px / TEXT_PX)
  const shift = shiftOf(palette)
  const border = (tier: 'village' | 'township' | 'county' | 'city', width: number, minzoom: number): LayerSpecification => ({
    id: `border-${tier}`,
    type: 'line',
    source: 'regions',
    'source-layer': 'regions',
    minzoom: minzoom && minzoom + shift,
    filter: ['==', ['get', 'tier'], tier],
    layout: { 'line-join': 'round' },
    paint: { 'line-color': palette.border[tier], 'line-width': width * scale },
  })
  return [border('village', 1, 11), border('township', 1.2, 9), border('county', 2, 0), border('city', 3, 0)]
}

function devices(palette: Palette): LayerSpecification[] {
  const icons = (kind: 'camera' | 'sensor'): LayerSpecification => ({
    id: `${kind}s`,
    type: 'symbol',
    source: `${kind}s`,
    layout: {
      visibility: 'none',
      'icon-image': ['concat', `${kind}-`, ['get', 'state']],
      'icon-size': ['interpolate', ['linear'], ['zoom'], 9, palette.text_px / 48, 15, palette.text_px / 26],
      'icon-allow-overlap': true,
      'icon-ignore-placement': true,
    },
  })
  return [
    icons('sensor'),
    {
      id: 'cones',
      type: 'fill',
      source: 'cones',
      minzoom: CONES_FROM_ZOOM,
      layout: { visibility: 'none' },
      paint: { 'fill-color': palette.accent, 'fill-opacity': 0.25, 'fill-outline-color': palette.accent },
    },
    icons('camera'),
  ]
}

function labels(palette: Palette, inferred: string): LayerSpecification[] {
  const name: ExpressionSpecification = ['get', 'name']
  // A functional zone whose rank is inferred and not a county by law says so under its name.
  const marked: ExpressionSpecification = [
    'case',
    ['to-boolean', ['coalesce', ['get', 'inferred'], false]],
    ['format', name, {}, `\n${inferred}`, { 'font-scale': 0.75 }],
    ['format', name, {}],
  ]
  const shift = shiftOf(palette)
  const label = (tier: Tier, size: number, minzoom: number, maxzoom: number): LayerSpecification => ({
    id: `label-${tier}`,
    type: 'symbol',
    source: 'regions',
    'source-layer': 'region_labels',
    minzoom: minzoom && minzoom + shift,
    maxzoom: Math.min(24, maxzoom + shift),
    filter: ['==', ['get', 'tier'], tier],
    layout: {
      'text-field': tier === 'county' ? marked : name,
      'text-font': [FONT],
      'text-size': palette.text_px * size,
      'text-variable-anchor': ['center', 'top', 'bottom', 'left', 'right', 'top-left', 'top-right', 'bottom-left', 'bottom-right'],
      'text-radial-offset': 1,
      'text-justify': 'auto',
      'text-padding': 4,
    },
    paint: {
      'text-color': tier === 'county' ? palette.text : palette.quiet,
      'text-halo-color': palette.ground,
      'text-halo-width': Math.max(1.5, palette.text_px / 9),
    },
  })
  return [label('village', 0.95, 11.5, 24), label('township', 1, 9.6, 24), label('county', 1.2, 0, 12)]
}

function pins(palette: Palette): LayerSpecification[] {
  const size = (palette.text_px * 1.55) / 32
  const clustered: ExpressionSpecification = ['has', 'point_count']
  return [
    {
      id: 'chosen',
      type: 'circle',
      source: 'chosen',
      paint: {
        'circle-radius': palette.text_px * 1.25,
        'circle-color': 'transparent',
        'circle-stroke-color': palette.accent,
        'circle-stroke-width': Math.max(2, palette.text_px / 6),
      },
    },
    {
      id: 'pins',
      type: 'symbol',
      source: 'tickets',
      layout: {
        'symbol-sort-key': ['get', 'severity'],
        'icon-image': ['concat', 'pin-', ['to-string', ['get', 'severity']]],
        'icon-size': ['case', clustered, size * 1.4, size],
        'icon-allow-overlap': true,
        'icon-padding': 2,
        'text-field': ['case', clustered, ['to-string', ['get', 'point_count']], ''],
        'text-font': [FONT],
        'text-size': palette.text_px,
        'text-allow-overlap': true,
      },
      paint: { 'text-color': palette.on_pin },
    },
  ]
}
