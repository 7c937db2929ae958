/** Shifts in the reader's language: for whom, and from when until when by the city's clock. */
import { shallowRef } from 'vue'
import { dayAt } from './cityTime'
import type { Organisation, Shift } from './contract'
import { live } from './live'
import { city } from './session'
import { isEndless } from './staff'
import { clockTime, useWording } from './wording'

/** The city's organisations, once they were read. */
export const organisations = shallowRef<readonly Organisation[]>([])

export function useShiftWords() {
  const { t, english } = useWording()
  const time = (at: string): string => clockTime(Date.parse(at), live.now_ms.value)

  function organisation(code: string | null): string {
    if (code === null) return t('routing.whole_desk')
    const own = organisations.value.find((found) => found.code === code)
    return own ? (english.value ? own.name_en : own.name) : code
  }

  /** A clock time has no year: what ends in another one is told by its day. */
  function until(ends_at: string): string {
    return isEndless(ends_at, live.now_ms.value) ? dayAt(Date.parse(ends_at), city.value?.time_zone) : time(ends_at)
  }

  return { organisation, until, span: (shift: Pick<Shift, 'starts_at' | 'ends_at'>): string => `${time(shift.starts_at)} – ${until(shift.ends_at)}` }
}
