import { describe, expect, it } from 'vitest'
import { exact } from '../src/duration'
import { fieldWords } from '../src/fieldWords'
import { ladderOf } from '../src/ladder'
import { ALL_RULES, type Rule, levelUnit, severitiesOf, siftRules } from '../src/rule'
import { conditionWords, ruleWords } from '../src/ruleWords'
import { daysOf } from '../src/shadow'
import { tongue } from './tongue'

const QUANTITIES = {
  water_depth: { title: '积水深度', title_en: 'Water depth', unit: 'm' },
  rain: { title: '雨量', title_en: 'Rain', unit: 'mm' },
  water_pressure: { title: '供水压力', title_en: 'Water pressure', unit: 'MPa' },
}

function rule(given: Partial<Rule> = {}): Rule {
  return {
    kind: 'threshold',
    id: 'road-waterlogging',
    domain: 'emergency',
    category: 'waterlogging',
    title: { 'zh-CN': '道路积水', en: 'Road waterlogging' },
    source: { text: '立案条件', confidence: 'found' },
    version: 1,
    quantity: 'water_depth',
    direction: 'above',
    levels: [
      { severity: 2, at: 0.15, action: { 'zh-CN': '立案处置', en: 'file a case' }, for_s: 300 },
      { severity: 4, at: 0.25, action: { 'zh-CN': '需封路', en: 'close the road' } },
    ],
    clear: 0.12,
    ...given,
  }
}

const first = (given: Partial<Rule>, locale: 'zh-CN' | 'en' = 'zh-CN'): string => ruleWords(rule(given), QUANTITIES, tongue(locale)).levels[0]?.text ?? ''
const rest = (given: Partial<Rule>, name: string, locale: 'zh-CN' | 'en' = 'zh-CN'): string | undefined =>
  ruleWords(rule(given), QUANTITIES, tongue(locale)).rest.find((line) => line.name === name)?.text

describe('a rule in words', () => {
  it('says each level with its value, its own duration and its action', () => {
    const { levels } = ruleWords(rule(), QUANTITIES, tongue())
    expect(levels.map((level) => level.text)).toEqual(['当积水深度 ≥ 0.15 m，持续 5 分钟', '当积水深度 ≥ 0.25 m'])
    expect(levels.map((level) => level.action)).toEqual(['立案处置', '需封路'])
    expect(ruleWords(rule(), QUANTITIES, tongue('en')).levels[0]?.text).toBe('When Water depth ≥ 0.15 m for 5 min')
  })

  it('takes the duration of the rule where a level has none of its own', () => {
    expect(ruleWords(rule({ for_s: 90 }), QUANTITIES, tongue()).levels.map((level) => level.text)).toEqual([
      '当积水深度 ≥ 0.15 m，持续 5 分钟',
      '当积水深度 ≥ 0.25 m，持续 90 秒',
    ])
  })

  it('turns its signs for a rule that looks downwards', () => {
    const low: Partial<Rule> = { direction: 'below', quantity: 'water_pressure', levels: [{ severity: 3, at: 0.14 }], clear: 0.16, clear_for_s: 600 }
    expect(first(low)).toBe('当供水压力 ≤ 0.14 MPa')
    expect(rest(low, 'clear')).toBe('数值 > 0.16 MPa，持续 10 分钟，告警解除')
    expect(rest({}, 'clear')).toBe('数值 < 0.12 m，告警解除')
  })

  it('names the statistic of every kind, in both languages, with no hole left', () => {
    const kinds: Partial<Rule>[] = [
      { kind: 'rate', over_s: 3600, per_s: 3600 },
      { kind: 'window', statistic: 'sum', over_s: 10800, quantity: 'rain', levels: [{ severity: 3, at: 50, warning_level: 2 }] },
      { kind: 'window', statistic: 'percentile', percentile: 95, over_s: 900 },
      { kind: 'exceedance', limit: 0.5, side: 'above', mean_s: 900 },
      { kind: 'exceedance', limit: 0.5, side: 'below' },
      { kind: 'deviation', side: 'below' },
      { kind: 'difference', pairs: [{ a: 's1', b: 's2' }] },
      { kind: 'area', inside: 'old-town', levels: [{ severity: 3, at: 1 }], clear: 0.5 },
      { kind: 'combination', levels: [], severity: 3, reach: { radius_m: 500 }, condition: { quantity: 'rain', above: 20 } },
      { kind: 'count', of: { category: 'gas_leak' }, over_s: 600, levels: [{ severity: 3, at: 3 }], clear: null },
      { kind: 'absence', levels: [{ severity: 2, at: 900 }], clear: null },
      { kind: 'camera_event', levels: [], severity: 2, event: 'intrusion', zones: ['yard'], min_score: 0.7, lasting_s: 5 },
    ]
    for (const locale of ['zh-CN', 'en'] as const) {
      for (const given of kinds) {
        const words = ruleWords(rule(given), QUANTITIES, tongue(locale))
        const said = [...words.levels.map((level) => level.text), ...words.rest.map((line) => line.text)].join('\n')
        expect([given.kind, words.levels.length]).toEqual([given.kind, Math.max(1, given.levels?.length ?? 2)])
        expect(said).not.toMatch(/undefined|NaN|[{}]|rule\.say|\bnull\b/)
      }
    }
    expect(first(kinds[1] ?? {})).toBe('当最近 3 小时的雨量合计 ≥ 50 mm')
    expect(first(kinds[0] ?? {})).toBe('当积水深度在 1 小时内的变化（折合每 1 小时） ≥ 0.15 m/h，持续 5 分钟')
    expect(first(kinds[10] ?? {})).toBe('当传感器 15 分钟没有任何数据')
    expect(first(kinds[5] ?? {}, 'en')).toContain('is unusually low for this sensor, rarity ≥ ')
    expect(first(kinds[11] ?? {}, 'en')).toBe('When a camera sees “intrusion” in “yard” (confidence ≥ 0.7) for 5 s')
  })

  it('says what silence means, and only where the rule states it', () => {
    expect(rest({ gap: 'hold' }, 'gap')).toBe('保持：静默超过三个采样周期期间不计时，告警保持原状')
    expect(rest({ gap: 'fire', gap_after_s: 120 }, 'gap')).toBe('视同成立：静默超过 2 分钟按条件成立继续计时')
    expect(rest({}, 'gap')).toBeUndefined()
  })

  it('says when and where it counts', () => {
    const when = { hours: ['22:00-06:00'], days: [6, 7], mode: 'wartime' } as const
    expect(rest({ when: { ...when, hours: [...when.hours], days: [...when.days] } }, 'when')).toBe('仅在 周六、周日，22:00–06:00，战时')
    expect(rest({ where: { regions: ['321302'], inside: 'old-town' } }, 'where')).toBe('区域 321302，在区域“old-town”内')
    expect(rest({ where: {}, when: {} }, 'where')).toBeUndefined()
  })

  it('puts brackets only where the order of conditions would be in doubt', () => {
    const wet = { quantity: 'water_depth', above: 0.1 }
    const rainy = { quantity: 'rain', above: 20 }
    const words = (condition: Parameters<typeof conditionWords>[0]): string => conditionWords(condition, QUANTITIES, tongue())
    expect(words({ all: [wet, rainy] })).toBe('积水深度 > 0.1 m 且 雨量 > 20 mm')
    expect(words({ all: [wet, { any: [rainy, { not: { quantity: 'rain', below: 5 } }] }] })).toBe('积水深度 > 0.1 m 且 （雨量 > 20 mm 或 并非 雨量 < 5 mm）')
  })
})

describe('a stated length', () => {
  it('loses nothing to rounding', () => {
    expect([90, 300, 5400, 86400, 172800, 0.5].map((length_s) => exact(length_s))).toEqual([
      { key: 'seconds', count: 90 },
      { key: 'minutes', count: 5 },
      { key: 'minutes', count: 90 },
      { key: 'hours', count: 24 },
      { key: 'days', count: 2 },
      { key: 'seconds', count: 0.5 },
    ])
  })
})

describe('the ladder', () => {
  it('puts the clear value on the good side and colours from each level outwards', () => {
    const ladder = ladderOf(rule())
    expect(ladder?.marks.map((mark) => [mark.severity, mark.at])).toEqual([
      [2, 0.15],
      [4, 0.25],
    ])
    expect(ladder?.clear?.x).toBeCloseTo(0.1)
    expect(ladder?.spans.at(-1)).toMatchObject({ severity: 4, to: 1 })
    expect(ladder?.spans[0]?.to).toBe(ladder?.spans[1]?.from)
  })

  it('runs the other way for a rule that looks downwards', () => {
    const ladder = ladderOf(rule({ direction: 'below', levels: [{ severity: 3, at: 5 }, { severity: 1, at: 8 }], clear: 10 }))
    expect(ladder?.spans.map((span) => [span.severity, span.from < 0.1])).toEqual([
      [1, false],
      [3, true],
    ])
    expect(ladder?.clear?.x).toBeCloseTo(0.9)
  })

  it('lifts a label that would lie on its neighbour, and only that', () => {
    const levels = [1, 2, 3, 4].map((severity, index) => ({ severity: severity as 1 | 2 | 3 | 4, at: [2, 2.1, 2.2, 10][index] ?? 0 }))
    expect(ladderOf({ levels, clear: 0, direction: 'above' })?.marks.map((mark) => mark.row)).toEqual([0, 1, 0, 0])
  })

  it('stands in the middle when there is one number, and is none without levels', () => {
    expect(ladderOf({ levels: [{ severity: 2, at: 7 }], clear: null })?.marks[0]?.x).toBe(0.5)
    expect(ladderOf({ levels: [] })).toBeNull()
  })
})

describe('the list of rules', () => {
  const listed = [
    { ...rule(), origin: 'pack', open_alerts: 2 },
    { ...rule({ id: 'quiet', domain: 'traffic', source: { text: '', confidence: 'unverified' } }), origin: 'edited', open_alerts: 0 },
  ]
  const ids = (given: Partial<typeof ALL_RULES>): string => siftRules(listed, { ...ALL_RULES, ...given }).map((found) => found.id).join(' ')

  it('is sifted by words in either language, domain, state and confidence', () => {
    expect(ids({})).toBe('road-waterlogging quiet')
    expect(ids({ words: 'WATERLOGGING' })).toBe('road-waterlogging quiet')
    expect(ids({ words: 'quie' })).toBe('quiet')
    expect(ids({ words: '积水', domain: 'traffic' })).toBe('quiet')
    expect(ids({ unverified: true })).toBe('quiet')
    expect(ids({ state: 'firing' })).toBe('road-waterlogging')
    expect(ids({ state: 'edited' })).toBe('quiet')
    expect(ids({ kind: 'rate' })).toBe('')
  })

  it('shows the rungs of kinds without a ladder too', () => {
    expect(severitiesOf(rule())).toEqual([2, 4])
    expect(severitiesOf(rule({ levels: [], severity: 3 }))).toEqual([3])
  })

  it('gives each number its own unit: a rate has one per time, a count has none', () => {
    expect(levelUnit(rule({ kind: 'rate', per_s: 60 }), 'm')).toBe('m/min')
    expect(levelUnit(rule({ kind: 'rate', per_s: 900 }), 'm')).toBe('m/900 s')
    expect(levelUnit(rule({ kind: 'count' }), 'm')).toBe('')
    expect(levelUnit(rule(), '1')).toBe('')
  })
})

describe('what a version changes', () => {
  it('is told without braces, and nothing is told as nothing', () => {
    const said = (value: unknown): string => fieldWords(value, { absent: '无', number: String })
    expect(said(null)).toBe('无')
    expect(said(0.15)).toBe('0.15')
    expect(said([{ severity: 2, at: 0.15, for_s: null }, { severity: 4, at: 0.25 }])).toBe('severity: 2, at: 0.15\nseverity: 4, at: 0.25')
  })
})

describe('a shadow run', () => {
  it('says zero for the side that was silent on a day', () => {
    const tally = (per_day: { day: string; count: number }[]) => ({ count: 0, per_cell: [], per_day, alerts: [] })
    const run = { shadow: tally([{ day: '2026-11-24', count: 3 }]), in_force: tally([{ day: '2026-11-23', count: 1 }]) }
    expect(daysOf(run)).toEqual([
      { day: '2026-11-23', shadow: 0, in_force: 1 },
      { day: '2026-11-24', shadow: 3, in_force: 0 },
    ])
  })
})
