import { describe, expect, it } from 'vitest'
import { clockFace, dayAt, fromPicked, offsetName, toPicked } from '../src/cityTime'
import { hourNames } from '../src/trend'

const LATE = Date.parse('2026-11-23T20:04:07Z')

describe("the city's clock", () => {
  it('tells the time and the day there, wherever the screen stands', () => {
    expect(clockFace(LATE, 'Asia/Shanghai')).toBe('04:04:07')
    expect(dayAt(LATE, 'Asia/Shanghai')).toBe('2026-11-24')
    expect(clockFace(LATE, 'America/New_York', false)).toBe('15:04')
    expect(clockFace(Date.parse('2026-11-23T16:00:00Z'), 'Asia/Shanghai', false)).toBe('00:00')
  })

  it('names its distance from UTC', () => {
    expect(offsetName(LATE, 'Asia/Shanghai')).toBe('UTC+8')
    expect(offsetName(LATE, 'Asia/Kolkata')).toBe('UTC+5:30')
    expect(offsetName(LATE, 'America/New_York')).toBe('UTC−5')
    expect(offsetName(LATE, 'UTC')).toBe('UTC')
  })

  it('reads a time picked in a form as its own', () => {
    expect(fromPicked('2026-11-24T06:30', 'Asia/Shanghai')).toBe('2026-11-23T22:30:00.000Z')
    expect(fromPicked('', 'Asia/Shanghai')).toBeNull()
    expect(toPicked(Date.parse('2026-11-23T22:30:00Z'), 'Asia/Shanghai')).toBe('2026-11-24T06:30')
  })

  it('reads it rightly on the day on which the clocks change', () => {
    // 1 November 2026, New York goes back at 02:00: half past one is still summer time, three o'clock is not.
    expect(fromPicked('2026-11-01T00:30', 'America/New_York')).toBe('2026-11-01T04:30:00.000Z')
    expect(fromPicked('2026-11-01T03:00', 'America/New_York')).toBe('2026-11-01T08:00:00.000Z')
  })

  it('names the hours of a trend', () => {
    expect(hourNames(24, new Date(LATE), 'now', 'Asia/Shanghai').filter((name) => name !== '')).toEqual(['10:00', '16:00', '22:00', 'now'])
  })
})
