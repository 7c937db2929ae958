import { describe, expect, it } from 'vitest'
import type { RoutingAnswer, RoutingBook, RoutingRule } from '../src/contract'
import type { Rule } from '../src/rule'
import { type RoutingForm, categoriesOf, conditions, lines, smallClassesOf, wishOf } from '../src/routing'
import { tongue } from './tongue'

const FORM: RoutingForm = { domain: 'emergency', category: 'gas_leak', small_class: '', severity: 2, spot: { lng: 118.1, lat: 34.1 }, cell: '', day: '' }

function rule(id: string, more: Partial<RoutingRule> = {}): RoutingRule {
  return { id, when: {}, to: {}, effective_from: '2026-01-01', text: id, text_en: id, source: { text: '', confidence: 'unverified' }, in_force: true, ...more }
}

function book(...items: RoutingRule[]): RoutingBook {
  return { items, organisations: [], tier_by_severity: {}, skills: [], regions: [{ code: '321302', name: '宿城区' }], wartime: { handling_share: 0.5, accept_share: 0.5, push: [] } }
}

const alarm = (domain: string, category: string): Rule => ({ domain, category }) as Rule

describe('a matter to be tried', () => {
  it('is asked about once it has a category and a place', () => {
    expect(wishOf(FORM)).toEqual({ domain: 'emergency', category: 'gas_leak', severity: 2, lng: 118.1, lat: 34.1 })
    expect(wishOf({ ...FORM, category: ' ' })).toBeNull()
    expect(wishOf({ ...FORM, spot: null })).toBeNull()
  })

  it('goes by the cell that was typed before the place that was pointed at', () => {
    expect(wishOf({ ...FORM, cell: ' 321302002001001 ', day: '2027-01-01', small_class: 'E0502' })).toEqual({
      domain: 'emergency', category: 'gas_leak', severity: 2, cell: '321302002001001', day: '2027-01-01', small_class: 'E0502',
    })
  })

  it('is of a category that some rule of its domain knows, or that only the routing table knows', () => {
    const rules = [alarm('emergency', 'gas_leak'), alarm('emergency', 'gas_leak'), alarm('traffic', 'congestion')]
    const table = book(
      rule('a', { when: { category: ['gas_leak', 'drought', 'congestion'] } }),
      rule('b', { when: { domain: ['traffic'], category: ['parking'] } }),
    )
    expect(categoriesOf('emergency', rules, table).map(({ code, rules: own }) => [code, own.length])).toEqual([['drought', 0], ['gas_leak', 2]])
    expect(categoriesOf('traffic', rules, table).map(({ code }) => code)).toEqual(['congestion', 'drought', 'parking'])
  })
})

describe('the routing table', () => {
  it('keeps its order, with what became of each rule', () => {
    const answer = { rules: [{ rule: 'b', state: 'chosen', unfit: [], text: '', text_en: '' }] } as unknown as RoutingAnswer
    expect(lines(book(rule('a'), rule('b')), answer).map(({ n, rule: { id }, trial }) => [n, id, trial?.state])).toEqual([[1, 'a', undefined], [2, 'b', 'chosen']])
  })

  it('says what a rule is for, and nothing about what it leaves open', () => {
    const stated = rule('a', { when: { domain: ['emergency', 'traffic'], category: ['gas_leak'], small_class: ['E0502'], severity: [3, 4], region: ['321302', '999'], mode: 'wartime' } })
    expect(conditions(stated, book(), tongue())).toEqual(['大应急、大交通', 'gas_leak', '小类 E0502', '严重至紧急', '宿城区、999', '战时'])
    expect(conditions(rule('b', { when: { severity: [2, 2], domain: null } }), book(), tongue('en'))).toHaveLength(1)
  })

  it('lists each small class once', () => {
    expect(smallClassesOf(book(rule('a', { when: { small_class: ['E2', 'E1'] } }), rule('b', { when: { small_class: ['E1'] } })))).toEqual(['E1', 'E2'])
    expect(smallClassesOf(null)).toEqual([])
  })
})
