import { describe, expect, it } from 'vitest'
import { freshness } from '../src/freshness'

const NOW = Date.parse('2026-11-23T10:00:00+08:00')
const ago = (age_s: number): string => new Date(NOW - age_s * 1000).toISOString()
const pulse = (worker_s: number | null, data_s: number | null) => ({
  at: ago(0),
  worker_at: worker_s === null ? null : ago(worker_s),
  data_at: data_s === null ? null : ago(data_s),
})

describe('freshness', () => {
  it.each([
    ['all fresh', 0.4, pulse(1, 2), 'live', null],
    ['a link silent for 4 s', 4, pulse(1, 2), 'late', 'link'],
    ['a link silent for 10 s', 10, pulse(1, 2), 'stale', 'link'],
    ['no pulse ever and no time passed', 0, null, 'live', null],
    ['no pulse ever for 10 s', 10, null, 'stale', 'link'],
    ['a worker silent for 10 s', 0, pulse(10, 2), 'stale', 'worker'],
    ['a worker that never beat', 0, pulse(null, 2), 'stale', 'worker'],
    ['data 9 s old', 0, pulse(1, 9), 'late', 'data'],
    ['data 10 s old', 0, pulse(1, 10), 'stale', 'data'],
    ['no data yet', 0, pulse(1, null), 'live', null],
    ['everything away: the link is named first', 30, pulse(60, 60), 'stale', 'link'],
    ['worker and data away: the worker is named first', 0, pulse(60, 60), 'stale', 'worker'],
  ])('%s', (_, silence_s, said, state, missing) => {
    expect(freshness(NOW, silence_s, said)).toMatchObject({ state, missing })
  })

  it('blames the link and not the data while the link is silent', () => {
    expect(freshness(NOW + 9_000, 9, pulse(1, 2))).toMatchObject({ state: 'late', missing: 'link' })
  })

  it('says since when', () => {
    expect(freshness(NOW, 0, pulse(12, 2)).since_ms).toBe(NOW - 12_000)
    expect(freshness(NOW, 0, pulse(null, 2)).since_ms).toBeNull()
    expect(freshness(NOW + 15_000, 15, pulse(1, 2)).since_ms).toBe(NOW)
  })

  it('tells the age of the data even while the link is away', () => {
    expect(freshness(NOW + 15_000, 15, pulse(1, 2)).data_age_s).toBe(17)
  })
})
