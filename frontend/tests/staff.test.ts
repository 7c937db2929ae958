import { describe, expect, it } from 'vitest'
import { withFresh } from '../src/audit'
import type { DeadlineFinding, Shift, StaffMember } from '../src/contract'
import { dayBeside, dayBounds, fault, isEndless, loadShare, shiftState, shiftsByAccount, siftStaff, stretch } from '../src/staff'

const HOUR_MS = 3_600_000
const NOON = Date.parse('2026-11-24T04:00:00Z')

const person = (account: string, more: Partial<StaffMember> = {}): StaffMember => ({
  account, name: account, region: '1', region_name: '第1村', tier: 'grid', on_duty: null, skills: [], open_tickets: 0, position_at: null, yours: true, ...more,
})

describe('a day of shifts', () => {
  it('begins and ends by the clock of the city, also when that clock is changed', () => {
    expect(dayBounds('2026-11-24', 'Asia/Shanghai')).toEqual([NOON - 12 * HOUR_MS, NOON + 12 * HOUR_MS])
    const [from_ms, to_ms] = dayBounds('2026-11-01', 'America/New_York') ?? [0, 0]
    expect((to_ms - from_ms) / HOUR_MS).toBe(25)
    expect(dayBounds('', 'Asia/Shanghai')).toBeNull()
  })

  it('has a day before and a day after', () => {
    expect(dayBeside('2026-12-31', 1)).toBe('2027-01-01')
    expect(dayBeside('2026-03-01', -1)).toBe('2026-02-28')
  })

  it('shows of a shift what lies in it', () => {
    const day = [0, 24 * HOUR_MS] as const
    expect(stretch(6 * HOUR_MS, 12 * HOUR_MS, day)).toEqual({ left: 25, width: 25 })
    expect(stretch(-50 * HOUR_MS, 9_000 * HOUR_MS, day)).toEqual({ left: 0, width: 100 })
    expect(stretch(24 * HOUR_MS, 30 * HOUR_MS, day)).toBeNull()
    expect(stretch(-2 * HOUR_MS, 0, day)).toBeNull()
  })

  it('tells what runs, what is to come and what is over', () => {
    const at = (from_h: number, to_h: number) => ({ starts_at: new Date(NOON + from_h * HOUR_MS).toISOString(), ends_at: new Date(NOON + to_h * HOUR_MS).toISOString() })
    expect([at(-1, 1), at(0, 1), at(1, 2), at(-2, 0)].map((shift) => shiftState(shift, NOON))).toEqual(['running', 'running', 'to_come', 'over'])
    expect(isEndless('2036-11-24T00:00:00Z', NOON)).toBe(true)
    expect(isEndless('2026-11-25T00:00:00Z', NOON)).toBe(false)
  })

  it('belongs to people', () => {
    const shift = (id: string, account: string) => ({ id, account }) as Shift
    expect([...shiftsByAccount([shift('1', 'a'), shift('2', 'b'), shift('3', 'a')])].map(([account, own]) => [account, own.length])).toEqual([['a', 2], ['b', 1]])
  })
})

describe('a new shift', () => {
  it('is checked before it is asked for', () => {
    expect(fault('', null, null)).toBe('who')
    expect(fault('a', '2026-11-24T00:00:00Z', null)).toBe('times')
    expect(fault('a', '2026-11-24T00:00:00Z', '2026-11-24T00:00:00Z')).toBe('order')
    expect(fault('a', '2026-11-24T00:00:00Z', '2026-12-26T00:00:00Z')).toBe('long')
    expect(fault('a', '2026-11-24T00:00:00Z', '2026-12-25T00:00:00Z')).toBeNull()
  })
})

describe('people', () => {
  it('are found by duty, skill and words', () => {
    const duty = { id: '1' } as NonNullable<StaffMember['on_duty']>
    const all = [person('a', { on_duty: duty, skills: ['gas'] }), person('b', { skills: ['gas', 'flood'] }), person('c', { on_duty: duty })]
    const names = (sieve: Parameters<typeof siftStaff>[1]) => siftStaff(all, sieve).map(({ account }) => account)
    expect(names({ view: 'all', skill: '', words: '' })).toEqual(['a', 'b', 'c'])
    expect(names({ view: 'on_duty', skill: 'gas', words: '' })).toEqual(['a'])
    expect(names({ view: 'off_duty', skill: '', words: '' })).toEqual(['b'])
    expect(names({ view: 'all', skill: '', words: ' B ' })).toEqual(['b'])
  })

  it('are compared by the busiest, unless nobody is busy', () => {
    expect(loadShare(2, [person('a', { open_tickets: 2 })])).toBe(40)
    expect(loadShare(10, [person('a', { open_tickets: 10 }), person('b', { open_tickets: 20 })])).toBe(50)
  })
})

describe('findings of the auditor', () => {
  it('stand once each, newest first, whichever page they came with', () => {
    const finding = (id: number, found_at: string) => ({ id, found_at }) as DeadlineFinding
    const old = [finding(2, '2026-11-24T00:00:00Z'), finding(1, '2026-11-24T00:00:00Z')]
    expect(withFresh(old, [finding(3, '2026-11-24T00:01:00Z'), ...old]).map(({ id }) => id)).toEqual([3, 2, 1])
  })
})
