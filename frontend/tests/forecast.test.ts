import { describe, expect, it } from 'vitest'
import type { Forecast, ForecastLevel, Reached } from '../src/contract'
import { forecastOption, linesOf, reachWords } from '../src/forecast'
import { tongue } from './tongue'

const NOW = '2026-11-23T21:00:00+08:00'
const NOW_MS = Date.parse(NOW)
const HOUR_MS = 3_600_000
const clock = (at_ms: number): string => new Date(at_ms + 8 * HOUR_MS).toISOString().slice(11, 16)

function level(reached: Partial<Reached> | null, given: Partial<ForecastLevel> = {}): ForecastLevel {
  const whole = { threshold: 0.25, probability: 0.5, in_s: null, earliest_s: null, latest_s: null }
  return { rule: 'r', title: '积水', title_en: 'water', severity: 4, at: 0.25, direction: 'above', reached: reached && { ...whole, ...reached }, ...given }
}

function forecast(given: Partial<Forecast> = {}): Forecast {
  const items = [1, 2, 3, 4, 5, 6].map((horizon_h) => ({
    at: new Date(NOW_MS + horizon_h * HOUR_MS).toISOString(),
    horizon_h,
    value: 0.1 * horizon_h,
    low: 0.1 * horizon_h - 0.2,
    high: 0.1 * horizon_h + 0.2,
    zh: '',
    en: '',
  }))
  return {
    sensor: 's1', quantity: 'water_depth', unit: 'm', now: NOW, rain_gauge: null, latest: { value: 0.05, at: NOW }, age_s: 0, known_hours: 600, coverage: 0.9,
    past: [{ at: NOW, value: 0.04 }], items, reason: null, levels: [level(null)], ...given,
  }
}

describe('when a level is reached', () => {
  const say = (found: ForecastLevel, locale: 'zh-CN' | 'en' = 'zh-CN'): string => reachWords(found, NOW_MS, clock, tongue(locale))

  it('is told as a time of day with the earliest and the latest', () => {
    expect(say(level({ in_s: 2400, earliest_s: 1200, latest_s: 7200 }))).toBe('可能于 21:40 达到（21:20 至 23:00）')
    expect(say(level({ in_s: 2400, earliest_s: 1200, latest_s: 7200 }), 'en')).toBe('may be reached at 21:40 (21:20 to 23:00)')
  })

  it('says when it may not be reached after all, and when it is reached already', () => {
    expect(say(level({ in_s: 2400, earliest_s: 0, latest_s: null }))).toContain('也可能不达到')
    expect(say(level({ in_s: 0 }))).toBe('已达到')
    expect(say(level({ in_s: 0 }, { direction: 'below' }))).toBe('已降到')
  })

  it('does not promise what only the edge of the interval says', () => {
    expect(say(level({ earliest_s: 3600, probability: 0.2 }))).toBe('预计不会达到；若偏高，最早 22:00（可能性约 20%）')
    expect(say(level({ probability: 0.001 }))).toBe('6 小时内预计不会达到（可能性不到 1%）')
  })

  it('is silent where nothing can be forecast', () => {
    expect(say(level(null))).toBe('')
  })
})

describe('the drawing of a forecast', () => {
  it('goes on from the newest value, means in the middle of their hours', () => {
    const { past, ahead, band } = linesOf(forecast())
    expect(past).toEqual([
      [NOW_MS - HOUR_MS / 2, 0.04],
      [NOW_MS, 0.05],
    ])
    expect(ahead).toHaveLength(7)
    expect(ahead[0]).toEqual([NOW_MS, 0.05])
    expect(ahead[1]).toEqual([NOW_MS + HOUR_MS / 2, 0.1])
    expect(band[0]).toEqual([NOW_MS, 0.05, 0.05])
  })

  it('draws no line ahead where there is none', () => {
    expect(linesOf(forecast({ items: [], reason: { kind: 'silent', zh: '', en: '' } }))).toEqual({ past: [[NOW_MS - HOUR_MS / 2, 0.04]], ahead: [], band: [] })
  })

  it('shows every level, however far from the values, in the colour of its severity', () => {
    const look = { text_px: 13, line: '#111', colour: '#222', quiet: '#333', font: 'x', severity: { 4: '#444' }, level: () => '紧急 0.25', now: '现在', zone: 'Asia/Shanghai' }
    const drawn = forecastOption(forecast({ levels: [level(null, { at: 20 })] }), look)
    expect(drawn.yAxis.max({ min: 0.1, max: 0.6 })).toBe(20)
    expect(drawn.yAxis.min({ min: 0.1, max: 0.6 })).toBe(0)
    expect(drawn.yAxis.min({ min: 15, max: 16 })).toBe(15)
    const mark = drawn.series[3] as { markLine: { data: { yAxis?: number; lineStyle: { color: string } }[] } }
    expect(mark.markLine.data[1]).toMatchObject({ yAxis: 20, lineStyle: { color: '#444' } })
  })
})
