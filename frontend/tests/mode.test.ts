import { describe, expect, it } from 'vitest'
import type { LiveEvent, Mode } from '../src/contract'
import { endAfter, furtherHours, holds, inForce, isAtWar, isSame, mayChange, mayDeclare, missing, wartimeFirst } from '../src/mode'
import { acknowledge, emptyReplica, forgetEnded, hold, receive } from '../src/replica'
import { ticket } from './build'

const NOON = Date.parse('2026-11-23T12:00:00+08:00')

function mode(given: Partial<Mode> = {}): Mode {
  return {
    id: 'm1',
    mode: 'wartime',
    state: 'in_force',
    region: 'COUNTY',
    region_name: '沭阳县',
    domains: ['emergency'],
    starts_at: '2026-11-23T11:00:00+08:00',
    ends_at: '2026-11-23T13:00:00+08:00',
    by: 'city',
    by_name: '宿迁市指挥中心',
    tier: 'city',
    reason: '暴雨红色预警',
    ended_at: null,
    ended_by: null,
    ended_name: null,
    ended_reason: null,
    version: 1,
    ...given,
  }
}

describe('wartime operation', () => {
  it('ends by itself at its end, whatever the log has told', () => {
    const end = Date.parse(mode().ends_at)
    expect(holds(mode(), end - 1)).toBe(true)
    expect(holds(mode(), end)).toBe(false)
  })

  it('ends when somebody ended it', () => {
    expect(holds(mode({ ended_at: '2026-11-23T11:59:59+08:00' }), NOON)).toBe(false)
  })

  it('is told with what ends first in front, and without what is over', () => {
    const modes = [mode({ id: 'late', ends_at: '2026-11-24T12:00:00+08:00' }), mode({ id: 'soon' }), mode({ id: 'over', ends_at: '2026-11-23T11:30:00+08:00' })]
    expect(inForce(modes, NOON).map(({ id }) => id)).toEqual(['soon', 'late'])
  })

  it('is another list when a declaration was prolonged', () => {
    expect(isSame([mode()], [mode()])).toBe(true)
    expect(isSame([mode()], [mode({ version: 2 })])).toBe(false)
    expect(isSame([mode()], [])).toBe(false)
  })
})

describe('a ticket', () => {
  it('is at war by its place and its domain together', () => {
    expect(isAtWar(ticket(), [mode()])).toBe(true)
    expect(isAtWar(ticket({ domain: 'traffic' }), [mode()])).toBe(false)
    expect(isAtWar(ticket(), [mode({ region: 'OTHER' })])).toBe(false)
  })

  it('at war comes first, and within both the order is kept', () => {
    const tickets = [ticket({ id: 'a', domain: 'traffic' }), ticket({ id: 'b' }), ticket({ id: 'c', domain: 'traffic' }), ticket({ id: 'd' })]
    expect(wartimeFirst(tickets, [mode()]).map(({ id }) => id)).toEqual(['b', 'd', 'a', 'c'])
    expect(wartimeFirst(tickets, []).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd'])
  })
})

describe('who may', () => {
  it('declare is the city and its counties', () => {
    expect((['city', 'county', 'township', 'village', 'grid'] as const).map(mayDeclare)).toEqual([true, true, false, false, false])
  })

  it('end it is nobody below who declared it', () => {
    expect(mayChange(mode({ tier: 'city' }), 'city')).toBe(true)
    expect(mayChange(mode({ tier: 'city' }), 'county')).toBe(false)
    expect(mayChange(mode({ tier: 'county' }), 'city')).toBe(true)
    expect(mayChange(mode({ tier: 'county' }), 'county')).toBe(true)
    expect(mayChange(mode({ tier: 'county' }), 'township')).toBe(false)
  })
})

describe('a declaration', () => {
  it('needs a domain and a reason', () => {
    const draft = { region: 'COUNTY', domains: ['emergency'] as const, hours: 2, reason: '暴雨' }
    expect(missing(draft)).toBeNull()
    expect(missing({ ...draft, domains: [] })).toBe('domains')
    expect(missing({ ...draft, reason: ' ' })).toBe('reason')
  })

  it('never asks for more than was chosen', () => {
    expect(endAfter(2, NOON + 999)).toBe('2026-11-23T06:00:00.000Z')
  })

  it('is prolonged by what still lies within 72 hours', () => {
    expect(furtherHours(mode(), NOON)).toEqual([1, 2, 6, 12, 24])
    expect(furtherHours(mode({ ends_at: '2026-11-26T12:00:00+08:00' }), NOON)).toEqual([])
  })
})

describe('the replica', () => {
  const told = (cursor: number, data: Mode): LiveEvent => ({ cursor, kind: 'mode', op: 'put', id: data.id, version: data.version, data })
  const synced = acknowledge(hold(emptyReplica()), { cursor: 10, snapshot: { tickets: [], incidents: [], alerts: [], modes: [mode()] } })

  it('knows what is in force from the snapshot and hears what changes', () => {
    const later = receive(synced, [told(11, mode({ version: 2, ends_at: '2026-11-23T15:00:00+08:00' }))])
    expect(later.shelves.mode.get('m1')?.ends_at).toBe('2026-11-23T15:00:00+08:00')
  })

  it('forgets what is over', () => {
    expect(forgetEnded(synced, NOON).shelves.mode.size).toBe(1)
    expect(forgetEnded(synced, Date.parse(mode().ends_at) + 1).shelves.mode.size).toBe(0)
  })

  it('hears of a region whose risk moved', () => {
    const data = { code: 'COUNTY', name: '沭阳县', tier: 'county', at: '2026-11-23T12:00:00+08:00', scores: { overall: 83 }, top: [] }
    const later = receive(synced, [{ cursor: 11, kind: 'risk', op: 'put', id: 'COUNTY', version: 7, data }])
    expect(later.shelves.risk.get('COUNTY')?.scores.overall).toBe(83)
  })
})
