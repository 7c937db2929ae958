import type { FeatureCollection } from 'geojson'
import { describe, expect, it } from 'vitest'
import { bearing, windOf } from '../src/bearing'
import { STATUSES, type Standard } from '../src/contract'
import { choiceOf, emptyDraft, lacking, partsOf } from '../src/draft'
import { matching } from '../src/filing'
import { en } from '../src/i18n/en'
import { zh } from '../src/i18n/zh-CN'
import { boundsOf, regionAt } from '../src/map/within'
import { progressOf, receiptFrom } from '../src/receipt'
import { type ReportDraft, emptyReport, faultsOf, isEmpty, lengthOf, wishOf } from '../src/reportDraft'
import { isAnswer } from '../src/ticket'
import { move, ticket } from './build'

const PLACE = { lng: 118.2751234567, lat: 33.9630001, accuracy_m: 35 }
const full: ReportDraft = { ...emptyReport(), kind: 'manhole', words: ' 路口井盖没了 ', place: PLACE }

describe('a receipt typed by hand', () => {
  it.each([
    ['K7QD-2M9F-4XWA-T03Z-9BHE'],
    ['k7qd-2m9f-4xwa-t03z-9bhe'],
    ['K7QD2M9F4XWAT03Z9BHE'],
    [' k7qd 2m9f 4xwa to3z 9bhe\n'],
    ['K7QD–2M9F—4XWA－T03Z-9BHE'],
    ['Ｋ７ＱＤ２Ｍ９Ｆ４ＸＷＡＴ０３Ｚ９ＢＨＥ'],
  ])('is found however it was written: %s', (typed) => {
    expect(receiptFrom(typed)).toBe('K7QD-2M9F-4XWA-T03Z-9BHE')
  })

  it('takes what people misread for what was meant', () => {
    expect(receiptFrom('OOOO-IIII-LLLL-0000-1111')).toBe('0000-1111-1111-0000-1111')
  })

  it.each([[''], ['K7QD-2M9F'], ['K7QD-2M9F-4XWA-T03Z-9BHEE'], ['U7QD-2M9F-4XWA-T03Z-9BHE'], ['K7QD-2M9F-4XWA-T03Z-9BH?']])('is none when it cannot be one: %s', (typed) => {
    expect(receiptFrom(typed)).toBeNull()
  })
})

describe('what a reporter is told', () => {
  it('has words for each status in both languages', () => {
    for (const words of [zh, en]) expect(Object.keys(words.report.stage).sort()).toEqual([...STATUSES].sort())
  })

  it('is done only when the matter is', () => {
    expect(STATUSES.filter((status) => progressOf(status) === 'done')).toEqual(['closed', 'evaluated'])
    expect(progressOf('void')).toBe('declined')
    expect(progressOf('handled')).toBe('working')
  })
})

describe('a report being written', () => {
  it('lacks everything at first, in the order of the form', () => {
    expect(faultsOf(emptyReport(), true)).toEqual(['kind', 'channel', 'words', 'place'])
    expect(faultsOf(emptyReport(), false)).toEqual(['kind', 'words', 'place'])
    expect(faultsOf(full, false)).toEqual([])
    expect(faultsOf(full, true)).toEqual(['channel'])
  })

  it.each([
    ['    ', false],
    ['积水很深', false],
    ['积水很深了', true],
    ['😀😀😀', false],
    ['😀😀😀😀😀', true],
    ['水'.repeat(1000), true],
    ['水'.repeat(1001), false],
  ])('takes 5 to 1000 characters, counted as people count: %s', (words, good) => {
    expect(faultsOf({ ...full, words }, false)).toEqual(good ? [] : ['words'])
  })

  it('asks what was done only of what was handled on the spot', () => {
    expect(faultsOf({ ...full, handled: '' }, false)).toEqual([])
    expect(faultsOf({ ...full, done: true, handled: '修好' }, false)).toEqual(['handled'])
    expect(faultsOf({ ...full, done: true, handled: '已盖好井盖' }, false)).toEqual([])
  })

  it('refuses a contact that is too long', () => {
    expect(faultsOf({ ...full, contact: '1'.repeat(101) }, false)).toEqual(['contact'])
  })

  it('becomes a wish with what was said and nothing else, to a tenth of a metre', () => {
    expect(wishOf(full)).toEqual({ kind: 'manhole', words: '路口井盖没了', lng: 118.275123, lat: 33.963 })
    expect(wishOf({ ...full, contact: ' 138 ', channel: 'hotline', done: true, handled: ' 已盖好井盖 ' })).toMatchObject({ contact: '138', channel: 'hotline', handled: '已盖好井盖' })
    expect(wishOf({ ...full, handled: '已盖好井盖' })).not.toHaveProperty('handled')
    expect(wishOf(emptyReport())).toBeNull()
  })

  it('knows whether anything was written', () => {
    expect(isEmpty(emptyReport())).toBe(true)
    expect(isEmpty({ ...emptyReport(), words: '水' })).toBe(false)
    expect(lengthOf(' 水😀 ')).toBe(2)
  })
})

describe('the ground under a report', () => {
  const square = (west: number, south: number, side: number) => [[west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]]
  const ground: FeatureCollection = {
    type: 'FeatureCollection',
    features: [
      { type: 'Feature', properties: { code: 'A', name: '甲县', tier: 'county' }, geometry: { type: 'Polygon', coordinates: [square(0, 0, 10)] } },
      { type: 'Feature', properties: { code: 'B', name: '乙镇', tier: 'township' }, geometry: { type: 'Polygon', coordinates: [square(0, 0, 6), square(2, 2, 2)] } },
      { type: 'Feature', properties: { code: 'C', name: '丙镇', tier: 'township' }, geometry: { type: 'MultiPolygon', coordinates: [[square(2, 2, 2)], [square(7, 7, 3)]] } },
    ],
  }

  it.each([
    [1, 1, '乙镇'],
    [3, 3, '丙镇'],
    [8, 9, '丙镇'],
    [6.5, 6.5, null],
    [-1, 1, null],
    [11, 1, null],
  ])('tells the township of %s, %s: holes and islands are what they are', (lng, lat, name) => {
    expect(regionAt(ground, 'township', lng, lat)).toBe(name)
  })

  it('is bounded by all that lies on it', () => {
    expect(boundsOf(ground)).toEqual([0, 0, 10, 10])
    expect(boundsOf({ type: 'FeatureCollection', features: [] })).toBeNull()
  })
})

describe('where a duplicate lies', () => {
  it.each([
    [0, 1, 'n'],
    [1, 1, 'ne'],
    [1, 0, 'e'],
    [1, -1, 'se'],
    [0, -1, 's'],
    [-1, -1, 'sw'],
    [-1, 0, 'w'],
    [-1, 1, 'nw'],
    [-0.1, 1, 'n'],
  ])('is told as one of eight winds: %s east, %s north', (east, north, wind) => {
    const lat = 34
    const to = { lng: 118 + (east * 0.001) / Math.cos((lat * Math.PI) / 180), lat: lat + north * 0.001 }
    expect(windOf(bearing({ lng: 118, lat }, to))).toBe(wind)
  })
})

describe('filing', () => {
  const standard = (n: number, condition: string): Standard => ({ n, big_code: 'E05', big_name: '突发事件', small_code: 'E0506', small_name: '道路积水', condition, close_condition: '', limit_text: '2 小时', handling_unit: null })
  const standards = [standard(1, '积水深度 15 厘米以上'), standard(2, '井盖缺损')]

  it('finds conditions by all words, wherever they stand', () => {
    expect(matching(standards, '积水 15').map((one) => one.n)).toEqual([1])
    expect(matching(standards, 'e0506').map((one) => one.n)).toEqual([1, 2])
    expect(matching(standards, '井盖 15')).toEqual([])
  })

  it('sends a severity only when it was changed', () => {
    const file = move('file', { asks: ['filing', 'severity'] })
    expect(partsOf(file)).toEqual(['filing', 'severity'])
    expect(choiceOf(file, emptyDraft(file), undefined)).toEqual({})
    expect(choiceOf(file, { ...emptyDraft(file), severity: 4, standard: '7' }, undefined)).toEqual({ standard: 7, severity: 4 })
  })

  it('takes words that are offered, and does without them', () => {
    const close = { ...move('close'), offers_reason: true }
    expect(partsOf(close)).toEqual(['reason'])
    expect(lacking(close, emptyDraft(close), 0, undefined)).toBeNull()
    expect(choiceOf(close, emptyDraft(close), undefined)).toEqual({})
    expect(choiceOf(close, { ...emptyDraft(close), reason: ' 已修好 ' }, undefined)).toEqual({ reason: '已修好' })
  })

  it('answers a reporter where a report is turned down or closed', () => {
    const reported = ticket({ source: { kind: 'report', id: 'r1', name: '群众' } })
    expect(['void', 'close', 'return', 'file'].filter((name) => isAnswer(name as 'void', reported))).toEqual(['void', 'close'])
    expect(isAnswer('close', ticket({ source: { kind: 'sensor', id: 's1', name: '积水' } }))).toBe(false)
  })
})
