import { describe, expect, it } from 'vitest'
import { choiceOf, emptyDraft, lacking, partsOf } from '../src/draft'
import { move } from './build'

const ZONE = 'Asia/Shanghai'
const NOW = Date.parse('2026-11-23T10:00:00+08:00')
const to = [
  { region: 'A', name: '甲' },
  { region: 'B', name: '乙' },
]

describe('what a move asks for', () => {
  it('is nothing when one press is enough', () => {
    expect(partsOf(move('accept'))).toEqual([])
    expect(partsOf(move('dispatch', { to }))).toEqual([])
  })

  it('is a target where there is one to choose, then what it asks, then the reason', () => {
    expect(partsOf(move('arbitrate', { to, needs_reason: true }))).toEqual(['to', 'reason'])
    expect(partsOf(move('check', { to }))).toEqual(['to'])
    expect(partsOf(move('return', { to, asks: ['cause'] }))).toEqual(['cause', 'reason'])
    expect(partsOf(move('merge', { asks: ['ticket'] }))).toEqual(['ticket'])
  })

  it('leaves out what these pages do not know yet', () => {
    expect(partsOf(move('file', { asks: ['filing', 'tomorrow' as 'ok'] }))).toEqual(['filing'])
  })
})

describe('a draft', () => {
  it('lacks what was not said, in the order of asking', () => {
    const checked = move('checked', { asks: ['ok'], needs_reason: true })
    const draft = emptyDraft(checked)
    expect(lacking(checked, draft, NOW, ZONE)).toBe('ok')
    expect(lacking(checked, { ...draft, ok: false }, NOW, ZONE)).toBe('reason')
    expect(lacking(checked, { ...draft, ok: false, reason: '  ' }, NOW, ZONE)).toBe('reason')
    expect(lacking(checked, { ...draft, ok: false, reason: '仍有积水' }, NOW, ZONE)).toBeNull()
  })

  it.each([
    ['2026-11-23T09:59', 'until'],
    ['2026-11-23T10:00', 'until'],
    ['2026-11-23T10:01', null],
    ['2027-11-23T10:00', null],
    ['2027-11-23T10:01', 'until'],
    ['', 'until'],
  ])('suspends until a time to come, at most a year ahead: %s', (until, found) => {
    const asked = move('ask_suspension', { asks: ['until'], needs_reason: true })
    expect(lacking(asked, { ...emptyDraft(asked), until, reason: '待汛期后施工' }, NOW, ZONE)).toBe(found)
  })

  it.each([
    ['', null],
    ['12', null],
    ['0', 'filing'],
    ['-1', 'filing'],
    ['1.5', 'filing'],
    ['甲', 'filing'],
  ])('takes a number of a filing condition or none: %s', (standard, found) => {
    const file = move('file', { asks: ['filing'] })
    expect(lacking(file, { ...emptyDraft(file), standard }, NOW, ZONE)).toBe(found)
  })

  it('becomes a choice with what the move asks for and nothing else', () => {
    const full = { severity: null, to: 'B', cause: 'unclear', ok: true, score: 4, until: '2026-11-24T08:00', standard: '7', reason: ' 说明 ' } as const
    const become = (asked: ReturnType<typeof move>) => choiceOf(asked, full, ZONE)
    expect(become(move('return', { to, asks: ['cause'] }))).toEqual({ cause: 'unclear', reason: '说明' })
    expect(become(move('verified', { asks: ['ok'], needs_reason: true }))).toEqual({ ok: true, reason: '说明' })
    expect(become(move('evaluate', { asks: ['score'] }))).toEqual({ score: 4 })
    expect(become(move('ask_suspension', { asks: ['until'] }))).toEqual({ until: '2026-11-24T00:00:00.000Z' })
    expect(become(move('file', { asks: ['filing'] }))).toEqual({ standard: 7 })
    expect(become(move('assist', { to, needs_reason: true }))).toEqual({ to: 'B', reason: '说明' })
    expect(become(move('merge', { asks: ['ticket'] }))).toEqual({ to: 'B' })
  })

  it('proposes the likeliest target, and another ticket never', () => {
    expect(emptyDraft(move('hand_up', { to })).to).toBe('A')
    expect(emptyDraft(move('merge', { asks: ['ticket'] })).to).toBe('')
  })
})
