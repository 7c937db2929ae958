import { describe, expect, it } from 'vitest'
import type { QuarantineReason, Rejected, Replay } from '../src/contract'
import { bars, hexRows, laidOut, progress, replayable, share } from '../src/quarantine'

const reason = (kept: number, dropped: number, hours: number[]): QuarantineReason => ({
  reason: 'malformed', kept, dropped, hours, bytes: 0, waiting: kept, queued: 0, replayed: 0, first_at: null, last_at: null, dropped_at: null,
})
const message = (known: Partial<Rejected>): Rejected => ({
  id: 1, topic: 't', size: 1, cut: false, reason: 'malformed', detail: '', county: null, source: null, replay: null, outcome: null,
  outcome_detail: null, received_at: '2026-11-24T10:00:00Z', state: 'waiting', replayed_at: null, kept_bytes: 1, beginning: 't', ...known,
})

describe('counts by reason', () => {
  it('are drawn against the greatest of all', () => {
    const all = [reason(6, 4, [0, 4]), reason(5, 0, [1, 2])]
    expect(all.map((one) => share(one, all))).toEqual([1, 0.5])
    expect(bars(all[1]!, all)).toEqual([0.25, 0.5])
  })

  it('are nothing where nothing is', () => {
    expect(share(reason(0, 0, [0]), [])).toBe(0)
    expect(bars(reason(0, 0, [0]), [])).toEqual([0])
  })
})

describe('a message', () => {
  it('can be taken up while it waits and after it was rejected again, not when it is cut, stale, queued or stored', () => {
    expect(replayable(message({}))).toBe(true)
    expect(replayable(message({ state: 'replayed', outcome: 'partly' }))).toBe(true)
    for (const known of [{ cut: true }, { reason: 'retained' }, { state: 'queued' }, { state: 'replayed', outcome: 'stored' }] as Partial<Rejected>[])
      expect(replayable(message(known))).toBe(false)
  })

  it('is shown byte by byte', () => {
    expect(hexRows('7b22c3a9')).toEqual([{ at: '00000', bytes: '7b 22 c3 a9', text: '{"··' }])
    expect(hexRows('00'.repeat(40)).map((row) => row.at)).toEqual(['00000', '00010', '00020'])
    expect(hexRows('00'.repeat(40), 1)).toHaveLength(1)
  })

  it('is laid out when it is JSON', () => {
    expect(laidOut('{"a":1}')).toBe('{\n  "a": 1\n}')
    expect(laidOut('{"a"')).toBe('{"a"')
  })
})

it('a replay of nothing is done', () => {
  const replay: Replay = { id: 1, asked_by: 'x', asked_at: '', wish: {}, state: 'waiting', messages: 0, impossible: 2, done: 0, outcomes: {}, ended_at: null }
  expect(progress(replay)).toBe(1)
  expect(progress({ ...replay, messages: 4, done: 1 })).toBe(0.25)
})
