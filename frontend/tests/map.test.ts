import { describe, expect, it } from 'vitest'
import type { MapDescription } from '../src/contract'
import { recolour, severityByCell } from '../src/map/cells'
import { viewCone } from '../src/map/cone'
import { drill } from '../src/map/drill'
import type { Palette } from '../src/map/palette'
import { LAYERS_OF, cityStyle } from '../src/map/style'
import { hourNames } from '../src/trend'
import { alert } from './build'

describe('cells', () => {
  it('take the gravest of their open alerts', () => {
    const alerts = [
      alert({ id: 'a', severity: 2 }),
      alert({ id: 'b', severity: 4, ended_at: '2026-11-23T10:00:00+08:00' }),
      alert({ id: 'c', severity: 3 }),
      alert({ id: 'd', cell: 'D', severity: 1 }),
    ]
    expect([...severityByCell(alerts)]).toEqual([
      ['C', 3],
      ['D', 1],
    ])
  })

  it('that changed are the only ones drawn again', () => {
    const before = new Map([
      ['same', 2],
      ['worse', 2],
      ['over', 3],
    ] as const)
    const after = new Map([
      ['same', 2],
      ['worse', 4],
      ['new', 1],
    ] as const)
    expect(recolour(before, after)).toEqual([
      ['worse', 4],
      ['new', 1],
      ['over', null],
    ])
  })
})

describe('a click on the map', () => {
  const hits = [
    { code: 'CITY', name: '宿迁市', tier: 'city' },
    { code: 'COUNTY', name: '沭阳县', tier: 'county' },
    { code: 'TOWN', name: '沭城街道', tier: 'township' },
  ] as const

  it('goes one tier down inside the region in view', () => {
    expect(drill({ code: 'CITY', tier: 'city' }, hits)?.code).toBe('COUNTY')
    expect(drill({ code: 'COUNTY', tier: 'county' }, hits)?.name).toBe('沭城街道')
  })

  it('beside it goes to its neighbour of the same tier', () => {
    expect(drill({ code: 'OTHER', tier: 'county' }, hits)?.code).toBe('COUNTY')
  })

  it('goes nowhere on empty ground, or where the tier below is not drawn', () => {
    expect(drill({ code: 'CITY', tier: 'city' }, [])).toBeNull()
    expect(drill({ code: 'TOWN', tier: 'township' }, hits)).toBeNull()
    expect(drill({ code: 'V', tier: 'village' }, [{ code: 'V', name: '某村', tier: 'village' }])).toBeNull()
  })
})

describe('a camera cone', () => {
  it('opens to where the camera looks', () => {
    const ring = viewCone({ lng: 118, lat: 34, direction: 90, field_of_view: 60 }, 60)
    expect(ring?.[0]).toEqual([118, 34])
    expect(ring?.at(-1)).toEqual([118, 34])
    expect(ring?.slice(1, -1).every(([lng]) => lng > 118)).toBe(true)
  })

  it('is not drawn when nobody knows where the camera looks', () => {
    expect(viewCone({ lng: 118, lat: 34, direction: null, field_of_view: 60 }, 60)).toBeNull()
  })
})

describe('the map style', () => {
  const description: MapDescription = {
    synthetic: true,
    bounds: [118, 33, 119, 34],
    city_bounds: [118, 33, 119, 34],
    layers: { regions: { version: 'r1' }, cells: { version: 'c1' }, water: { version: 'w1' } },
  }
  const palette: Palette = {
    ground: '#000',
    land: '#111',
    text: '#fff',
    quiet: '#aaa',
    accent: '#00f',
    water: '#008',
    road: '#222',
    cell_line: '#333',
    border: { city: '#fff', county: '#ccc', township: '#999', village: '#666' },
    severity: { 1: '#1', 2: '#2', 3: '#3', 4: '#4' },
    risk: ['#5', '#6', '#7', '#8', '#9'],
    war: '#f60',
    on_pin: '#000',
    normal: '#0f0',
    unknown: '#888',
    text_px: 17.3,
  }
  const style = cityStyle(description, palette, '推定', 'county')
  const order = style.layers.map((layer) => layer.id)

  it('asks nobody but its own server for tiles, glyphs and pictures', () => {
    const addresses = JSON.stringify(style).match(/\w+:\/\/[^/"]+/g) ?? []
    expect(new Set(addresses)).toEqual(new Set(['ground://tiles']))
    expect(style).not.toHaveProperty('glyphs')
    expect(style).not.toHaveProperty('sprite')
  })

  it('places pins before labels, so that labels give way', () => {
    expect(order.indexOf('pins')).toBeGreaterThan(order.indexOf('label-county'))
    expect(order.indexOf('label-county')).toBeGreaterThan(order.indexOf('label-village'))
  })

  it('draws borders heavier tier by tier upwards', () => {
    const width = (tier: string): unknown => style.layers.find((layer) => layer.id === `border-${tier}`)?.paint?.['line-width' as never]
    const widths = ['village', 'township', 'county', 'city'].map(width) as number[]
    expect(widths).toEqual([...widths].sort((a, b) => a - b))
    expect(new Set(widths).size).toBe(4)
  })

  it('leaves bare what lies above the account', () => {
    const land = style.layers.find((layer) => layer.id === 'land')
    expect(JSON.stringify(land)).toContain('"village"')
    expect(JSON.stringify(land)).not.toContain('"city"')
  })

  it('has every layer that the switch names', () => {
    expect(Object.values(LAYERS_OF).flat().filter((layer) => !order.includes(layer))).toEqual([])
  })
})

describe('the hours of a trend', () => {
  it('are named every six, and the last is now', () => {
    const names = hourNames(24, new Date(2026, 10, 23, 21, 30), 'now')
    expect(names.filter((name) => name !== '')).toEqual(['03:00', '09:00', '15:00', 'now'])
    expect(names).toHaveLength(24)
  })
})
