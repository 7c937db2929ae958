import { describe, expect, it } from 'vitest'
import { adoption, draftFrom, draftOf, fittingModels, wishOf } from '../src/catalogue'
import type { CatalogueWords, Entry, UnknownSensor } from '../src/contract'

const entry: Entry = {
  id: 'w-1', name: '一号', county: '1', region: '1', cell: '1001', domain: 'emergency', quantities: [], owner: '水利局', profile: 'gauge', sharing: 'conditional',
  in_service: true, service_since: null, interval_s: 60, latest: {}, last_received_at: null, credential_at: null, revision: 3, lng: 118.1, lat: 34, state: 'online', state_since: null,
}
const stray = (more: Partial<UnknownSensor['suggestion']> = {}): UnknownSensor => ({
  id: 's-1', county: '1', adoptable: true, count: 1, first_at: '', last_at: '', values: [], unread: 0,
  suggestion: { name: 's-1', quantities: ['rain'], lng: 118.5, lat: 34.5, datum: 'GCJ02', interval_s: 300, ...more },
})

describe('a changed entry', () => {
  it('asks for nothing when nothing was changed', () => {
    expect(wishOf(entry, draftOf(entry))).toEqual({})
  })

  it('asks for what was changed and leaves the rest to others', () => {
    expect(wishOf(entry, { ...draftOf(entry), owner: ' 城管局 ', in_service: false })).toEqual({ owner: '城管局', in_service: false })
    expect(wishOf(entry, { ...draftOf(entry), interval_s: '' })).toEqual({ interval_s: null })
    expect(wishOf(entry, { ...draftOf(entry), lng: '118.2' })).toEqual({ lng: 118.2, lat: 34 })
  })

  it('that moves from now on says which cell it belongs to', () => {
    expect(wishOf(entry, { ...draftOf(entry), lng: '', lat: '', cell: '1002' })).toEqual({ lng: null, lat: null, cell: '1002' })
  })
})

describe('an adoption', () => {
  it('leaves a position that was sent to the datum it was sent in', () => {
    expect(adoption(stray(), draftFrom(stray()))).toEqual({ name: 's-1', owner: '', profile: '', sharing: 'conditional', in_service: true, interval_s: 300 })
  })

  it('states a position that was put on the map in the datum of the map', () => {
    expect(adoption(stray(), { ...draftFrom(stray()), lng: '118.6' })).toMatchObject({ lng: 118.6, lat: 34.5, datum: 'CGCS2000' })
  })

  it('without a position names the cell', () => {
    const sent = stray({ lng: null, lat: null })
    expect(adoption(sent, { ...draftFrom(sent), cell: '1001' })).toMatchObject({ cell: '1001' })
  })
})

it('models that fit what a sensor measures come first', () => {
  const model = (id: string, ...names: string[]) => ({ id, title: id, title_en: id, interval_s: null, plausible: Object.fromEntries(names.map((name) => [name, { low: 0, high: 1, sentinels: [] }])) })
  const words = { profiles: [model('a', 'noise'), model('b', 'rain'), model('c', 'rain', 'noise')] } as unknown as CatalogueWords
  expect(fittingModels(words, ['rain', 'noise']).map(({ id }) => id)).toEqual(['c', 'a', 'b'])
  expect(fittingModels(null, ['rain'])).toEqual([])
})
