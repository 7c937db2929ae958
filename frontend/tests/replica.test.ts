import { describe, expect, it } from 'vitest'
import type { LiveEvent } from '../src/contract'
import { type Replica, acknowledge, emptyReplica, forgetEnded, hold, merge, receive } from '../src/replica'
import { alert, gone, put, ticket } from './build'

const versions = (replica: Replica): Record<string, number> =>
  Object.fromEntries([...replica.shelves.ticket.values()].map((item) => [item.id, item.version]))

const synced = (cursor = 10): Replica =>
  acknowledge(hold(emptyReplica()), { cursor, snapshot: { tickets: [ticket({ version: 2 })], incidents: [], alerts: [alert()] } })

describe('before sync is answered', () => {
  it('events are held and not shown', () => {
    const replica = receive(hold(emptyReplica()), [put(5)])
    expect(replica.shelves.ticket.size).toBe(0)
    expect(replica.held).toHaveLength(1)
  })

  it('held events above the answered cursor are applied after the snapshot, the others dropped', () => {
    const holding = receive(hold(emptyReplica()), [put(9, { id: 'old' }), put(11, { id: 'new' })])
    const replica = acknowledge(holding, { cursor: 10, snapshot: { tickets: [ticket()], incidents: [], alerts: [] } })
    expect(versions(replica)).toEqual({ t1: 1, new: 1 })
    expect(replica.cursor).toBe(11)
    expect(replica.held).toBeNull()
  })

  it('a new connection keeps what is known and begins to hold again', () => {
    const replica = receive(hold(synced()), [put(11, { version: 3 })])
    expect(versions(replica)).toEqual({ t1: 2 })
    expect(versions(acknowledge(replica, { cursor: 10 }))).toEqual({ t1: 3 })
  })
})

describe('the answer to sync', () => {
  it('replaces everything known when it is a snapshot', () => {
    const replica = acknowledge(hold(synced()), { cursor: 90, snapshot: { tickets: [ticket({ id: 't2' })], incidents: [], alerts: [] } })
    expect(versions(replica)).toEqual({ t2: 1 })
    expect(replica.shelves.alert.size).toBe(0)
    expect(replica.cursor).toBe(90)
  })

  it('may set the cursor back, as when the server was restored', () => {
    const replica = acknowledge(hold(synced(500)), { cursor: 3, snapshot: { tickets: [], incidents: [], alerts: [] } })
    expect(receive(replica, [put(4)]).shelves.ticket.size).toBe(1)
  })

  it('applies missed events in order and takes the answered cursor even when the last ones were not ours', () => {
    const replica = acknowledge(hold(synced()), { cursor: 40, events: [put(12, { version: 3 }), put(20, { version: 4 })] })
    expect(versions(replica)).toEqual({ t1: 4 })
    expect(replica.cursor).toBe(40)
  })

  it('with nothing missed leaves all as it was', () => {
    expect(versions(acknowledge(hold(synced()), { cursor: 10, events: [] }))).toEqual({ t1: 2 })
  })
})

describe('a live event', () => {
  it('is applied in order, one heap or many', () => {
    const events: LiveEvent[] = [put(11, { version: 3 }), put(12, { id: 't2' }), gone(13, 't1')]
    const together = receive(synced(), events)
    const apart = events.reduce((replica, event) => receive(replica, [event]), synced())
    expect(versions(together)).toEqual({ t2: 1 })
    expect(apart).toEqual(together)
  })

  it('not above the cursor is dropped', () => {
    const before = synced()
    expect(receive(before, [put(10, { version: 9 }), gone(4, 't1')])).toBe(before)
  })

  it('never takes an object back to an older version', () => {
    expect(versions(receive(synced(), [put(11, { version: 1 })]))).toEqual({ t1: 2 })
  })

  it('of an unknown kind moves the cursor and nothing else', () => {
    const replica = receive(synced(), [{ cursor: 11, kind: 'plan', op: 'put', id: 'p', version: 1, data: {} }])
    expect(replica.cursor).toBe(11)
    expect(versions(replica)).toEqual({ t1: 2 })
  })

  it('that says gone takes the object away; a later put brings it back', () => {
    const without = receive(synced(), [gone(11, 't1')])
    expect(versions(without)).toEqual({})
    expect(versions(receive(without, [put(12, { version: 5 })]))).toEqual({ t1: 5 })
  })

  it('leaves the replica it was applied to unchanged', () => {
    const before = synced()
    receive(before, [gone(11, 't1')])
    expect(versions(before)).toEqual({ t1: 2 })
  })
})

describe('an HTTP answer', () => {
  it('is taken over when newer, without the moves that belong to the asker', () => {
    const replica = merge(synced(), ticket({ version: 3, moves: [] }))
    expect(versions(replica)).toEqual({ t1: 3 })
    expect(replica.shelves.ticket.get('t1')).not.toHaveProperty('moves')
  })

  it('is ignored when the log already told as much', () => {
    const before = synced()
    expect(merge(before, ticket({ version: 2 }))).toBe(before)
  })
})

describe('forgetting', () => {
  const closed_at = '2026-11-23T11:00:00+08:00'

  it('drops closed tickets and ended alerts once their end is past, and nothing before', () => {
    const ended = acknowledge(hold(emptyReplica()), {
      cursor: 1,
      snapshot: { tickets: [ticket({ status: 'closed', closed_at })], incidents: [], alerts: [alert({ ended_at: closed_at })] },
    })
    expect(forgetEnded(ended, Date.parse(closed_at))).toBe(ended)
    const later = forgetEnded(ended, Date.parse(closed_at) + 1)
    expect([later.shelves.ticket.size, later.shelves.alert.size]).toEqual([0, 0])
  })
})
