/** Words in the reader's language for what a ticket carries: titles, ages, countdowns, clock times. */
import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import type { Deadline } from './deadline'
import { spell } from './duration'
import type { Holder, Ticket } from './contract'

const two = (value: number): string => String(value).padStart(2, '0')

/** 21:04 on the reader's clock, with the date when it is another day. */
export function clockTime(at_ms: number, now_ms: number, withSeconds = false): string {
  const at = new Date(at_ms)
  const time = `${two(at.getHours())}:${two(at.getMinutes())}${withSeconds ? `:${two(at.getSeconds())}` : ''}`
  const sameDay = at.toDateString() === new Date(now_ms).toDateString()
  return sameDay ? time : `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`
}

export function useWording() {
  const { t, locale } = useI18n()
  const english = computed(() => locale.value === 'en')

  function length(length_s: number): string {
    const spelled = spell(length_s)
    return t(`duration.${spelled.key}`, spelled.values)
  }

  return {
    t,
    length,
    title: (ticket: Ticket): string => (english.value && ticket.title_en) || ticket.title,
    detail: (ticket: Ticket): string => (english.value ? ticket.detail_en : null) ?? ticket.detail ?? '',
    ago: (at_ms: number, now_ms: number): string => t('ago', { length: length((now_ms - at_ms) / 1000) }),
    countdown: (deadline: Deadline | null): string => {
      if (!deadline) return ''
      return deadline.left_s < 0 ? t('overdue_by', { length: length(-deadline.left_s) }) : t('left', { length: length(deadline.left_s) })
    },
    holder: (holder: Holder): string => {
      const person = holder.account_name
      // Many an account is called after its place; saying the place twice tells nothing.
      if (person?.includes(holder.name)) return person
      return person ? t('detail.holder_account', { name: holder.name, person }) : holder.name
    },
    count: (value: number): string => value.toLocaleString(locale.value),
  }
}
