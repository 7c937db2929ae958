import { describe, expect, it } from 'vitest'
import { deadlineOf } from '../src/deadline'
import { spell } from '../src/duration'
import { sift } from '../src/sift'
import { differences, gravestFirst, mainMove, newestFirst, nextName, nextOnPath, placeBelow, stationsOf } from '../src/ticket'
import { move, step, ticket } from './build'

const ids = (tickets: { id: string }[]): string => tickets.map((item) => item.id).join(' ')

describe('order', () => {
  it('of a live list is newest first, whatever the offset a time was written with', () => {
    const earlier = ticket({ id: 'earlier', opened_at: '2026-11-23T10:00:00+08:00' })
    const later = ticket({ id: 'later', opened_at: '2026-11-23T03:00:00+00:00' })
    expect(ids(newestFirst([earlier, later]))).toBe('later earlier')
  })

  it('by gravity puts severity before deadline and finished work last', () => {
    const tickets = [
      ticket({ id: 'done', severity: 4, status: 'handled' }),
      ticket({ id: 'mild', severity: 1 }),
      ticket({ id: 'grave-late', severity: 4, due_at: '2026-11-23T13:00:00+08:00' }),
      ticket({ id: 'grave-soon', severity: 4, due_at: '2026-11-23T11:00:00+08:00' }),
    ]
    expect(ids(gravestFirst(tickets))).toBe('grave-soon grave-late mild done')
  })
})

describe('place', () => {
  it('names what lies below the tier a reader sees as a whole', () => {
    expect(placeBelow(ticket(), 'city')).toBe('宿城区 项里街道 第 3 村 第 12 网格')
    expect(placeBelow(ticket(), 'township')).toBe('第 3 村 第 12 网格')
  })

  it('still says something to the grid itself', () => {
    expect(placeBelow(ticket(), 'grid')).toBe('第 12 网格')
  })

  it('of the usual dispatch is the next one on the path, none below the grid', () => {
    expect(nextOnPath(ticket({ tier: 'county' }))).toBe('TOWN')
    expect(nextOnPath(ticket({ tier: 'grid' }))).toBeNull()
  })
})

describe('the main move', () => {
  it('is never a return or a rework', () => {
    expect(mainMove([move('return'), move('rework')])).toBeNull()
  })

  it('goes down before it is taken on, and forward once it was', () => {
    expect(mainMove([move('accept'), move('dispatch'), move('return')])?.move).toBe('dispatch')
    expect(mainMove([move('accept'), move('return')])?.move).toBe('accept')
    expect(mainMove([move('return'), move('dispatch'), move('finish')])?.move).toBe('finish')
    expect(mainMove([move('rework'), move('close')])?.move).toBe('close')
  })
})

describe('who is next', () => {
  it('is the holder, and for finished work the tier above it', () => {
    const holder = { region: 'C', name: '第 12 网格', tier: 'grid', account: null, account_name: null } as const
    expect(nextName(ticket({ tier: 'grid', status: 'dispatched', holder }))).toBe('第 12 网格')
    expect(nextName(ticket({ tier: 'grid', status: 'handled', holder }))).toBe('第 3 村')
    expect(nextName(ticket({ status: 'handled' }))).toBe('宿迁市')
  })
})

describe('the line of five tiers', () => {
  it('tells when each was first reached, where the ticket is and what lies ahead', () => {
    const steps = [step(), step({ version: 2, move: 'dispatch', tier: 'county', at: '2026-11-23T10:05:00+08:00' })]
    const line = stationsOf(ticket({ tier: 'county' }), steps)
    expect(line.map((station) => station.state)).toEqual(['past', 'here', 'ahead', 'ahead', 'ahead'])
    expect(line[1]).toMatchObject({ name: '宿城区', reached_at: '2026-11-23T10:05:00+08:00' })
  })

  it('keeps the tiers a returned ticket had already seen', () => {
    const steps = [step(), step({ tier: 'county' }), step({ tier: 'township' }), step({ tier: 'county', move: 'return' })]
    expect(stationsOf(ticket({ tier: 'county' }), steps).map((station) => station.state)).toEqual(['past', 'here', 'past', 'ahead', 'ahead'])
  })
})

describe('a conflict', () => {
  it('names what differs', () => {
    const current = ticket({ status: 'accepted', holder: { ...ticket().holder, account: 'li' } })
    expect(differences(ticket(), current)).toEqual(['status', 'holder'])
    expect(differences(ticket(), ticket({ version: 2 }))).toEqual([])
  })
})

describe('a deadline', () => {
  const at = (time: string): number => Date.parse(`2026-11-23T${time}+08:00`)

  it.each([
    ['10:00:00', 7200, 1, 'ample'],
    ['11:00:00', 3600, 0.5, 'ample'],
    ['11:45:00', 900, 0.125, 'short'],
    ['12:10:00', -600, 0, 'overdue'],
  ])('at %s has %d s left', (time, left_s, part, state) => {
    expect(deadlineOf(ticket(), at(time))).toEqual({ left_s, part, state })
  })

  it('does not press finished work', () => {
    expect(deadlineOf(ticket({ status: 'handled' }), at('13:00:00'))).toBeNull()
    expect(deadlineOf(ticket({ due_at: null }), at('13:00:00'))).toBeNull()
  })
})

describe('a length of time', () => {
  it.each([
    [-5, 'seconds', { seconds: 0 }],
    [59.9, 'seconds', { seconds: 59 }],
    [60, 'minutes', { minutes: 1 }],
    [3600, 'hours', { hours: 1 }],
    [4800, 'hours_minutes', { hours: 1, minutes: 20 }],
    [90_000, 'days_hours', { days: 1, hours: 1 }],
    [86_400 * 9 + 3600, 'days', { days: 9 }],
  ])('of %d s is told in %s', (length_s, key, values) => {
    expect(spell(length_s)).toMatchObject({ key, values })
  })
})

describe('the filters of a desk', () => {
  const all = [
    ticket({ id: 'filed' }),
    ticket({ id: 'accepted', status: 'accepted', severity: 4, domain: 'traffic' }),
    ticket({ id: 'handled', status: 'handled', holder: { ...ticket().holder, region: 'COUNTY' } }),
  ]
  const none = { view: 'all', domain: null, severity: null, region: 'COUNTY' } as const

  it.each([
    [none, 'filed accepted handled'],
    [{ ...none, view: 'mine' } as const, 'handled'],
    [{ ...none, view: 'waiting' } as const, 'filed'],
    [{ ...none, domain: 'traffic' } as const, 'accepted'],
    [{ ...none, severity: 3 } as const, 'filed handled'],
    [{ ...none, view: 'checking', severity: 4 } as const, ''],
  ])('%o', (sieve, expected) => {
    expect(ids(sift(all, sieve))).toBe(expected)
  })
})
