/** A length of time as the few words a person says: "38 秒", "6 分", "1 时 20 分", "3 天". */

export interface Spelled {
  /** Message key below `duration.` */
  key: 'seconds' | 'minutes' | 'hours' | 'hours_minutes' | 'days' | 'days_hours'
  values: { days: number; hours: number; minutes: number; seconds: number }
}

/** @param length_s seconds; negative counts as zero */
export function spell(length_s: number): Spelled {
  const whole = Math.max(0, Math.floor(length_s))
  const values = {
    days: Math.floor(whole / 86400),
    hours: Math.floor((whole % 86400) / 3600),
    minutes: Math.floor((whole % 3600) / 60),
    seconds: whole % 60,
  }
  return { key: keyOf(values), values }
}

function keyOf(values: Spelled['values']): Spelled['key'] {
  if (values.days > 0) return values.hours > 0 && values.days < 3 ? 'days_hours' : 'days'
  if (values.hours > 0) return values.minutes > 0 ? 'hours_minutes' : 'hours'
  return values.minutes > 0 ? 'minutes' : 'seconds'
}

/** A length exactly as a rule states it, in the largest unit that leaves no rest: 90 s stay 90 seconds, 24 h stay hours. */
export function exact(length_s: number): { key: 'seconds' | 'minutes' | 'hours' | 'days'; count: number } {
  const whole = (unit_s: number): boolean => length_s >= unit_s && length_s % unit_s === 0
  if (whole(86400) && length_s > 86400) return { key: 'days', count: length_s / 86400 }
  if (whole(3600)) return { key: 'hours', count: length_s / 3600 }
  if (whole(60)) return { key: 'minutes', count: length_s / 60 }
  return { key: 'seconds', count: length_s }
}
