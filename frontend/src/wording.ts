/** Words in the reader's language for what a ticket carries: titles, ages, countdowns, clock times. */
import { computed } from 'vue'
import { useI18n } from 'vue-i18n'
import { clockFace, dayAt } from './cityTime'
import type { Deadline } from './deadline'
import { exact, spell } from './duration'
import type { Holder, Ticket } from './contract'
import type { Tongue } from './ruleWords'
import { city } from './session'

/** 21:04 on the city's clock, with the date when it is another day. */
export function clockTime(at_ms: number, now_ms: number, withSeconds = false): string {
  const zone = city.value?.time_zone
  const time = clockFace(at_ms, zone, withSeconds)
  const day = dayAt(at_ms, zone)
  return day === dayAt(now_ms, zone) ? time : `${day.slice(5)} ${time}`
}

export function useWording() {
  const { t, te, locale } = useI18n()
  const english = computed(() => locale.value === 'en')

  function length(length_s: number): string {
    const spelled = spell(length_s)
    return t(`duration.${spelled.key}`, spelled.values)
  }

  /** As a rule states it, nothing rounded away. */
  function exactly(length_s: number): string {
    const { key, count } = exact(length_s)
    return t(`exactly.${key}`, { count: number(count) })
  }

  const number = (value: number): string => value.toLocaleString(locale.value, { maximumFractionDigits: 6 })

  /** What the server names by a code; one that these pages do not know yet is shown as it is, or by a word that fits all. */
  function word(group: string, code: string, otherwise?: string): string {
    if (te(`${group}.${code}`)) return t(`${group}.${code}`)
    return otherwise ? t(`${group}.${otherwise}`) : code
  }

  return {
    t,
    te,
    word,
    length,
    number,
    english,
    /** What words made outside of components need. */
    tongue: computed<Tongue>(() => ({ t: (key, values) => t(key, values ?? {}), length: exactly, about: length, number, english: english.value })),
    title: (named: { title: string; title_en: string }): string => (english.value && named.title_en) || named.title,
    detail: (ticket: Ticket): string => (english.value ? ticket.detail_en : null) ?? ticket.detail ?? '',
    ago: (at_ms: number, now_ms: number): string => t('ago', { length: length((now_ms - at_ms) / 1000) }),
    countdown: (deadline: Deadline | null): string => {
      if (!deadline) return ''
      return deadline.left_s < 0 ? t('overdue_by', { length: length(-deadline.left_s) }) : t('left', { length: length(deadline.left_s) })
    },
    /** Who has it in as few words as a list has room for. */
    desk: (holder: Holder): string => {
      const person = holder.account_name
      if (person?.includes(holder.name)) return person
      return person ? t('detail.holder_account', { name: holder.name, person }) : holder.name
    },
    holder: (holder: Holder): string => {
      const name = holder.org_name ? `${holder.name} ${holder.org_name}` : holder.name
      const person = holder.account_name
      // Many an account is called after its place; saying the place twice tells nothing.
      if (person?.includes(holder.name)) return person
      if (person) return t('detail.holder_account', { name, person })
      return holder.assignee_name ? t('detail.holder_account', { name, person: t('life.meant_for', { name: holder.assignee_name }) }) : name
    },
    count: (value: number): string => value.toLocaleString(locale.value),
    percent: (share: number): string => share.toLocaleString(locale.value, { style: 'percent' }),
  }
}
