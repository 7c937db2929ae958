import { describe, expect, it } from 'vitest'
import type { IncidentStep } from '../src/contract'
import { canPart, mayRegroup, splitLacks } from '../src/incident'
import { incidentReason, incidentStepWords } from '../src/incidentWords'
import { tongue } from './tongue'

function step(given: Partial<IncidentStep> = {}): IncidentStep {
  return { version: 2, at: '2026-11-23T10:00:00+08:00', what: 'absorbed', by: null, reason: null, facts: { from: 'i2', number: 'I000002', signals: 3 }, ...given }
}

describe('splitting and joining', () => {
  it('is for desks of township and above, and for open incidents', () => {
    expect((['city', 'county', 'township', 'village', 'grid'] as const).filter((tier) => mayRegroup(tier, { status: 'open' }))).toEqual(['city', 'county', 'township'])
    expect((['closed', 'merged', 'reported'] as const).some((status) => mayRegroup('city', { status }))).toBe(false)
  })

  it('leaves one signal at least where it was, and asks for a reason', () => {
    expect(splitLacks(new Set(), 3, '另一处')).toBe('none')
    expect(splitLacks(new Set(['a', 'b', 'c']), 3, '另一处')).toBe('all')
    expect(splitLacks(new Set(['a']), 3, '  ')).toBe('reason')
    expect(splitLacks(new Set(['a']), 3, '另一处')).toBeNull()
  })

  it('takes alerts, not what a person reported', () => {
    expect([canPart({ kind: 'alert' }), canPart({ kind: 'report' })]).toEqual([true, false])
  })
})

describe('the trail of an incident', () => {
  it('names the other incident and how many signals went', () => {
    expect(incidentStepWords(step(), tongue())).toBe('并进了事件 I000002（3 个信号）')
    expect(incidentStepWords(step({ what: 'merged', facts: { into: 'i1', number: 'I000001', signals: 1 } }), tongue('en'))).toBe('Merged into incident I000001 (signals: 1)')
  })

  it('says what opened it, and counts those that have no number', () => {
    expect(incidentStepWords(step({ what: 'opened', facts: { kind: 'alert' } }), tongue())).toBe('由告警立为事件')
    expect(incidentStepWords(step({ what: 'opened', facts: { kind: 'report' } }), tongue())).toBe('由群众上报立为事件')
    expect(incidentStepWords(step({ what: 'kept_apart', facts: { from: ['i2', 'i3'] } }), tongue())).toBe('与另外 2 个事件分开处置')
  })

  it("gives a person's reason as written, and the system's own in the reader's language", () => {
    const own = 'both owe a report upwards'
    expect(incidentReason(step({ reason: own }), tongue())).toContain('上级报告')
    expect(incidentReason(step({ reason: own, by: { account: 'a', name: '某人' } }), tongue())).toBe(own)
    expect(incidentReason(step(), tongue())).toBeNull()
  })
})
