import { describe, expect, it } from 'vitest'
import type { RiskLine } from '../src/contract'
import { LAYERS_OF, shownLayers } from '../src/map/style'
import { SHOWN_AT_FIRST } from '../src/map/layer'
import { byGroup, lineOf, pointsText, sensorIn, stepOf, total } from '../src/risk'
import { historyOption, sixHours } from '../src/riskHistory'

const line = (points: number, of: RiskLine['of'] = 'hazard'): RiskLine => ({ of, kind: 'alert', zh: '道路积水', en: 'Road flooded', points })

describe('the lines of a score', () => {
  it('add up to the tenth, whatever binary fractions do', () => {
    expect(total([line(0.1), line(0.2)])).toBe(0.3)
    expect(total(Array.from({ length: 30 }, () => line(0.7)))).toBe(21)
    expect(total([])).toBe(0)
  })

  it('are told together by what they are of, and the groups add up to the same', () => {
    const lines = [line(40.3), line(20.1), line(15.4, 'exposure'), line(7.2, 'vulnerability'), line(0, 'further')]
    expect(byGroup(lines)).toEqual([
      { of: 'hazard', points: 60.4 },
      { of: 'exposure', points: 15.4 },
      { of: 'vulnerability', points: 7.2 },
    ])
    expect(byGroup(lines).reduce((sum, { points }) => sum + points, 0)).toBeCloseTo(total(lines), 9)
  })

  it('lead to the sensor whose reading or forecast they tell of', () => {
    const of = (kind: string) => sensorIn({ ...line(1), kind, source: 'river-1' })
    expect(['reading', 'forecast', 'alert'].map(of)).toEqual(['river-1', 'river-1', null])
  })

  it('are written with one decimal where there is one', () => {
    expect([83, 82.6, 82.60000000001].map(pointsText)).toEqual(['83', '82.6', '82.6'])
  })
})

describe('the colour of a score', () => {
  it('has five steps of 20 points', () => {
    expect([0, 19.9, 20, 39.9, 40, 60, 80, 100].map(stepOf)).toEqual([1, 1, 2, 2, 3, 4, 5, 5])
  })

  it('takes the place of that of alerts on the map', () => {
    const shown = (risk: boolean, cells: boolean): string[] => [...shownLayers({ ...SHOWN_AT_FIRST, risk, cells })].filter(([layer, on]) => on && /^cell/.test(layer)).map(([layer]) => layer)
    expect(shown(false, true)).toEqual(['cells', 'cell-lines', 'cell-chosen'])
    expect(shown(true, true)).toEqual(['cell-lines', 'cell-chosen', 'cells-risk'])
    expect(shown(true, false)).toEqual(['cell-lines', 'cell-chosen', 'cells-risk'])
    expect(shown(false, false)).toEqual([])
    expect(new Set(shownLayers(SHOWN_AT_FIRST).keys())).toEqual(new Set(Object.values(LAYERS_OF).flat()))
  })
})

describe('the history of a score', () => {
  const now = Date.parse('2026-11-23T12:00:00+08:00')
  const since = now - 86_400_000

  it('is drawn oldest first and ends with what the score is now', () => {
    const moments = [
      { at: '2026-11-23T11:00:00+08:00', score: 83 },
      { at: '2026-11-23T10:00:00+08:00', score: 40 },
      { at: '2026-11-22T09:00:00+08:00', score: 12 },
    ]
    expect(lineOf(moments, 81.5, since, now)).toEqual([
      [Date.parse('2026-11-23T10:00:00+08:00'), 40],
      [Date.parse('2026-11-23T11:00:00+08:00'), 83],
      [now, 81.5],
    ])
  })

  it('names whole hours of the city\'s clock, wherever the day was cut', () => {
    const told = sixHours(since + 107_000, now + 107_000, 'Asia/Shanghai').map((at) => new Date(at).toISOString())
    expect(told).toEqual(['2026-11-22T10:00:00.000Z', '2026-11-22T16:00:00.000Z', '2026-11-22T22:00:00.000Z', '2026-11-23T04:00:00.000Z'])
  })

  it('always shows the whole scale, so that a small risk looks small', () => {
    const option = historyOption([[now, 3]], since, now, { text_px: 13, line: '#111', colour: '#222', quiet: '#333', font: 'sans', zone: 'Asia/Shanghai' })
    expect(option.yAxis).toMatchObject({ min: 0, max: 100 })
    expect(option.xAxis.axisLabel.formatter(now)).toBe('12:00')
  })
})
