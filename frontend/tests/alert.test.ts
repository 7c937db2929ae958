import { describe, expect, it } from 'vitest'
import { ALERT_SHAPES } from '../src/alertShape'
import { alertMoves, alertOrder, isQuiet, whyFacts } from '../src/alertWords'
import { ALERT_STATES, type Alert, type Notice } from '../src/contract'
import { NOTICES_SHOWN, newestNotices } from '../src/notice'
import { acknowledge, emptyReplica, forgetEnded, hold, mergeAlerts, receive } from '../src/replica'
import { siftAlerts } from '../src/sift'
import { alert } from './build'
import { known, tongue } from './tongue'

const QUANTITIES = { gas: { title: '可燃气体', title_en: 'Gas', unit: '%LEL' } }
const facts = (given: Partial<Alert>, locale: 'zh-CN' | 'en' = 'zh-CN'): Record<string, string> =>
  Object.fromEntries(whyFacts(alert(given), QUANTITIES, tongue(locale), known, (at) => at.slice(11, 16)).map((fact) => [fact.label, fact.text]))

describe('the state of an alert', () => {
  it('has a shape of its own, each different from the others', () => {
    expect(new Set(ALERT_STATES.map((state) => ALERT_SHAPES[state].path)).size).toBe(ALERT_STATES.length)
  })

  it('allows everybody to acknowledge, and townships and above to keep it quiet', () => {
    const moves = (state: Alert['state'], tier: 'county' | 'village'): string => alertMoves(alert({ state }), tier).join(' ')
    expect(ALERT_STATES.map((state) => [state, moves(state, 'county'), moves(state, 'village')])).toEqual([
      ['raised', 'acknowledge shelve out_of_service', 'acknowledge'],
      ['acknowledged', 'shelve out_of_service', ''],
      ['returned', 'acknowledge', 'acknowledge'],
      ['normal', '', ''],
      ['shelved', 'unshelve out_of_service', ''],
      ['suppressed', 'out_of_service', ''],
      ['out_of_service', 'in_service', ''],
    ])
  })

  it('puts what waits for a look before what was seen, and the quiet after both', () => {
    const listed = alertOrder([
      alert({ id: 'quiet', state: 'suppressed', severity: 4 }),
      alert({ id: 'seen', state: 'acknowledged', severity: 4 }),
      alert({ id: 'mild', severity: 1 }),
      alert({ id: 'gone', state: 'returned', severity: 4 }),
      alert({ id: 'grave', severity: 3 }),
    ])
    expect(listed.map((found) => found.id).join(' ')).toBe('grave mild gone seen quiet')
    expect(listed.filter(isQuiet).map((found) => found.id)).toEqual(['quiet'])
  })

  it('is what the desk sifts by', () => {
    const all = ALERT_STATES.map((state) => alert({ id: state, state }))
    const ids = (view: 'all_states' | 'waiting' | 'acknowledged' | 'quiet'): string =>
      siftAlerts(all, { view, domain: null, severity: null }).map((found) => found.id).join(' ')
    expect(ids('waiting')).toBe('raised returned')
    expect(ids('quiet')).toBe('shelved suppressed out_of_service')
    expect(ids('acknowledged')).toBe('acknowledged')
  })
})

describe('why an alert was raised', () => {
  it('tells the value against the level, over which time, how long it held', () => {
    const why = { kind: 'window', statistic: 'sum', over_s: 10800, for_s: 300, since: '2026-11-23T09:50:00+08:00', held_s: 610, gap: 'hold', damped: true }
    expect(facts({ quantity: 'rain', unit: 'mm', value: 61.5, threshold: 50, why })).toEqual({
      数值: '61.5 mm ≥ 50 mm',
      算法: '3 小时合计',
      达到: '自 09:50 起，持续 10 分',
      须持续: '5 分钟',
      断数处理: '保持',
      抖动抑制: '是',
    })
  })

  it('turns the sign for what fell too low', () => {
    expect(facts({ value: 0.1, threshold: 0.14, unit: 'MPa' })['数值']).toBe('0.1 MPa ≤ 0.14 MPa')
  })

  it('tells the window as one span and keeps the value from being said twice', () => {
    const why = { kind: 'window', statistic: 'mean', from: '2026-11-23T09:45:00+08:00', to: '2026-11-23T10:00:00+08:00', readings: 15, needed: 8, value: 0.18 }
    expect(facts({ why }, 'en')).toEqual({ Value: '0.18 m ≥ 0.15 m', Computed: 'mean', Span: '09:45 to 10:00', Readings: '15', 'Needed at least': '8' })
  })

  it('tells of the unusual what came, what was expected and how rare that is, in the unit of what is measured', () => {
    const why = { kind: 'deviation', statistic: 'rarity', aspect: 'time_of_day', seen: 30, expected: 53.3, low: 45.8, high: 58.9, one_in: 21234.5 }
    const given = { quantity: 'gas', unit: '', value: 3.61, threshold: 3, why }
    expect(facts(given)).toEqual({
      罕见度: '3.61 ≥ 3',
      算法: '按传感器自身历史的罕见度',
      实测: '30 %LEL',
      预期: '53.3 %LEL',
      常态范围: '45.8 %LEL 至 58.9 %LEL',
      罕见程度: '约每 21,000 次读数一次',
      异常方面: '与一天中此时的常态相比',
    })
    expect(facts({ ...given, why: { ...why, aspect: 'shift', window: 48 } }, 'en')).toMatchObject({
      Expected: '53.3 %LEL',
      'How rare': 'about once in 21,000 readings',
      'Unusual in': 'the mean of the last readings against those before',
      'Readings compared': '48',
    })
  })

  it('tells nested facts in words, and a member it does not know by its own name', () => {
    const why = { kind: 'difference', a: { at: '2026-11-23T10:00:00+08:00', value: 0.4 }, strange: 7, nothing: null }
    expect(facts({ why }, 'en')).toMatchObject({ First: 'at 10:00 Value 0.4', strange: '7' })
    expect(Object.keys(facts({ why }, 'en'))).not.toContain('nothing')
  })

  it('tells each condition of a combination, what it saw and when, and what is not known as that', () => {
    const conditions = [
      { quantity: 'gas', above: 10, holds: true, value: 11.2, at: '2026-11-23T09:58:00+08:00' },
      { quantity: 'crowd', below: 50, holds: null },
    ]
    expect(facts({ why: { kind: 'combination', conditions } })).toEqual({
      算法: '组合条件',
      条件: '可燃气体 > 10 %LEL: 成立 (11.2 %LEL, 09:58)\ncrowd < 50: 不知',
    })
  })

  it('tells of an ended alert what ended it, and keeps its level in sight', () => {
    const given = { ended_at: '2026-11-23T10:09:00+08:00', value: 0.119, threshold: 0.25 }
    expect(facts({ ...given, why: { kind: 'threshold', ended_by: 'value' } })).toEqual({ 解除时: '0.119 m（触发级 0.25 m）', 算法: '读数本身', 解除原因: '数值恢复' })
    expect(facts({ ...given, why: { ended: 'replaced', by: 'other' } }, 'en')).toMatchObject({ 'Ended by': 'a newer alert of the same source' })
  })

  it('is the value alone when the server tells no more', () => {
    expect(facts({ why: null })).toEqual({ 数值: '0.18 m ≥ 0.15 m' })
  })
})

function notice(id: string, given: Partial<Notice> = {}): Notice {
  return {
    id,
    version: 1,
    title: `洋河镇 道路积水`,
    title_en: 'Yanghe: Road waterlogging',
    domain: 'emergency',
    category: 'waterlogging',
    severity: 2,
    region: 'TOWN',
    region_name: '洋河镇',
    members: 3,
    new: 3,
    kind: 'first',
    at: '2026-11-23T10:00:00+08:00',
    ...given,
  }
}

describe('notices', () => {
  const told = (cursor: number, id: string, given: Partial<Notice> = {}) => {
    const data = notice(id, given)
    return { cursor, kind: 'notice', op: 'put' as const, id, version: data.version, data }
  }
  const synced = acknowledge(hold(emptyReplica()), { cursor: 10, snapshot: { tickets: [], incidents: [], alerts: [], notices: [notice('a'), notice('b')] } })

  it('stand newest first, one for each group, no more than three', () => {
    const replica = receive(synced, [told(11, 'c'), told(12, 'a', { version: 2, members: 5, kind: 'more' }), told(13, 'd')])
    const shown = newestNotices(replica.shelves.notice.values())
    expect(shown.map((found) => found.id)).toEqual(['d', 'a', 'c'])
    expect(shown).toHaveLength(NOTICES_SHOWN)
    expect(newestNotices(replica.shelves.notice.values(), (found) => found.id === 'b')).toHaveLength(1)
  })

  it('that say it is over are seen for a moment and then go', () => {
    const replica = receive(synced, [told(11, 'a', { version: 2, kind: 'over', at: '2026-11-23T10:05:00+08:00' })])
    const end_ms = Date.parse('2026-11-23T10:05:00+08:00')
    expect(forgetEnded(replica, end_ms - 1).shelves.notice.has('a')).toBe(true)
    expect([...forgetEnded(replica, end_ms + 1).shelves.notice.keys()]).toEqual(['b'])
  })
})

describe('an alert that ended', () => {
  it('stays while nobody has looked, and goes once somebody has', () => {
    const ended_at = '2026-11-23T10:05:00+08:00'
    const shelf = mergeAlerts(emptyReplica(), [alert({ ended_at, state: 'returned' }), alert({ id: 'seen', ended_at, state: 'normal' })])
    expect([...forgetEnded(shelf, Date.parse(ended_at) + 1).shelves.alert.keys()]).toEqual(['a1'])
  })
})

describe('an answered alert', () => {
  it('is taken over unless the log already told a newer one', () => {
    const seen = mergeAlerts(emptyReplica(), [alert({ version: 3, state: 'acknowledged', moves: ['shelve'] })])
    expect(seen.shelves.alert.get('a1')).toMatchObject({ state: 'acknowledged' })
    expect(seen.shelves.alert.get('a1')?.moves).toBeUndefined()
    expect(mergeAlerts(seen, [alert({ version: 2 })])).toBe(seen)
  })
})
