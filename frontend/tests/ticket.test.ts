import { describe, expect, it } from 'vitest'
import { deadlineOf } from '../src/deadline'
import { spell } from '../src/duration'
import { sift } from '../src/sift'
import { answererName, differences, gravestFirst, groupsOf, isDone, isOpen, mainMove, nearby, newestFirst, nextName, nextOnPath, placeBelow, stageOf, stationsOf } from '../src/ticket'
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
  const holder = { region: 'C', name: '第 12 网格', tier: 'grid', account: null, account_name: null } as const

  it('is whoever the server says, by name', () => {
    expect(nextName(ticket({ tier: 'grid', status: 'dispatched', holder, responsible: 'C' }))).toBe('第 12 网格')
    expect(nextName(ticket({ tier: 'grid', status: 'handled', holder, responsible: 'V' }))).toBe('第 3 村')
    expect(nextName(ticket({ tier: 'grid', status: 'handled', holder, responsible: 'CITY' }))).toBe('宿迁市')
  })

  it('has no name when it stands above a desk outside the place', () => {
    expect(nextName(ticket({ status: 'handled', responsible: 'ELSEWHERE' }))).toBeNull()
  })

  it('to answer a request is the desk above, after the end as before it, and the city for the review of an appeal', () => {
    const request = { what: 'appeal', by: 'w', by_name: '王', reason: '停电', at: '2026-11-23T10:00:00+08:00' } as const
    expect(answererName(ticket({ holder, request, responsible: 'V' }))).toBe('第 3 村')
    expect(answererName(ticket({ holder, request, responsible: null }))).toBe('第 3 村')
    expect(answererName(ticket({ holder, request: { ...request, what: 'appeal_review' }, responsible: null }))).toBe('宿迁市')
  })
})

describe('an open ticket', () => {
  it('is one that has not ended, however it may end', () => {
    expect(isOpen(ticket({ status: 'handled' }))).toBe(true)
    for (const status of ['void', 'closed', 'evaluated', 'merged'] as const) {
      expect(isOpen(ticket({ status, closed_at: '2026-11-23T11:00:00+08:00' }))).toBe(false)
    }
  })

  it('is done while others look at the work', () => {
    expect([isDone(ticket()), isDone(ticket({ status: 'handled' })), isDone(ticket({ status: 'checking' }))]).toEqual([false, true, true])
  })
})

describe('moves beside the main one', () => {
  it('stand in groups by what they do, each move in one, and one that is not known yet brings the matter on', () => {
    const moves = [move('remind'), move('return'), move('accept'), move('assist'), move('tomorrow' as 'accept')]
    expect(groupsOf(moves).map((own) => [own.group, ...own.moves.map((one) => one.move)])).toEqual([
      ['on', 'accept', 'tomorrow'],
      ['back', 'return'],
      ['ask', 'assist'],
      ['watch', 'remind'],
    ])
  })

  it('are the only ones that ask for more time or force an end', () => {
    expect(mainMove([move('force_close'), move('ask_extension'), move('supervise')])).toBeNull()
  })
})

describe('tickets that may be the same matter', () => {
  it('are open, within 500 m, and the newest comes first', () => {
    const one = ticket({ id: 'one' })
    const others = [
      one,
      ticket({ id: 'near', lat: 33.901 }),
      ticket({ id: 'newer', lat: 33.904, opened_at: '2026-11-23T11:00:00+08:00' }),
      ticket({ id: 'far', lat: 33.905 }),
      ticket({ id: 'ended', closed_at: '2026-11-23T11:00:00+08:00' }),
    ]
    expect(nearby(one, others).map((found) => [found.ticket.id, Math.round(found.metres)])).toEqual([
      ['newer', 445],
      ['near', 111],
    ])
  })
})

describe('the limit of a stage', () => {
  it('is that of the status, and none while the work is done', () => {
    const stage_due_at = '2026-11-23T11:00:00+08:00'
    expect(stageOf(ticket({ status: 'dispatched', stage_due_at }))).toEqual({ stage: 'accept', due_at: stage_due_at, lapsed: false })
    expect(stageOf(ticket({ status: 'arbitrating', stage_due_at, lapsed_at: stage_due_at }))).toMatchObject({ stage: 'arbitrate', lapsed: true })
    expect(stageOf(ticket({ status: 'accepted', stage_due_at: null }))).toBeNull()
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

  it('turns amber and red when the server says, which counts working time', () => {
    const counted = ticket({ amber_at: '2026-11-23T10:30:00+08:00', red_at: '2026-11-23T11:30:00+08:00' })
    const states = ['10:29:59', '10:30:00', '11:30:00', '12:00:01'].map((time) => deadlineOf(counted, at(time))?.state)
    expect(states).toEqual(['ample', 'short', 'last', 'overdue'])
  })

  it('does not press what is suspended', () => {
    expect(deadlineOf(ticket({ status: 'suspended' }), at('13:00:00'))).toBeNull()
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
  it('with me are also those that wait for my answer or my help', () => {
    const helper = { region: 'COUNTY', name: '宿城区', asked: '借泵', asked_at: '2026-11-23T10:00:00+08:00' }
    const waiting = [
      ticket({ id: 'to-close', status: 'handled', responsible: 'COUNTY' }),
      ticket({ id: 'to-help', helpers: [helper] }),
      ticket({ id: 'helped', helpers: [{ ...helper, state: 'done' }] }),
    ]
    expect(ids(sift(waiting, { ...none, view: 'mine' }))).toBe('to-close to-help')
  })

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
