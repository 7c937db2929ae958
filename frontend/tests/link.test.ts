import { expect, it } from 'vitest'
import type { Device, Link } from '../src/contract'
import { linksAway, newerOf } from '../src/link'

const link = (id: string, state: Link['state'], since: string | null, version = 1): Link => ({ id, name: id, state, state_since: since, version })
const sensor = (state: Device['state'], since: string): Device => ({ id: 's', name: 's', lng: 0, lat: 0, state, state_since: since })
const [EARLY, LATE] = ['2026-11-24T10:00:00+00:00', '2026-11-24T11:00:00+00:00']

it('shows the links of which nothing is heard, longest first, and none that is there or was never heard', () => {
  const asked = [link('a', 'silent', LATE), link('b', 'online', EARLY), link('c', 'offline', EARLY), link('d', 'unknown', null)]
  expect(linksAway(asked, new Map()).map((found) => found.id)).toEqual(['c', 'a'])
})

it('goes by the newer of what was asked and what was told', () => {
  const asked = [link('a', 'silent', EARLY, 4)]
  expect(linksAway(asked, new Map([['a', link('a', 'online', LATE, 5)]]))).toEqual([])
  expect(linksAway(asked, new Map([['a', link('a', 'online', EARLY, 3)]]))).toHaveLength(1)
})

it('takes a silence that was asked for over an older word, and any word over what is not silence', () => {
  expect(newerOf(sensor('silent', LATE), sensor('online', EARLY)).state).toBe('silent')
  expect(newerOf(sensor('silent', EARLY), sensor('online', LATE)).state).toBe('online')
  expect(newerOf(sensor('online', LATE), sensor('offline', EARLY)).state).toBe('offline')
  expect(newerOf(sensor('online', LATE), undefined).state).toBe('online')
})
