/** The reader's language for tests of words, without a page. */
import { createI18n } from 'vue-i18n'
import { exact, spell } from '../src/duration'
import { en } from '../src/i18n/en'
import { zh } from '../src/i18n/zh-CN'
import type { Tongue } from '../src/ruleWords'

const i18n = createI18n({ legacy: false, locale: 'zh-CN', messages: { 'zh-CN': zh, en } })

export function tongue(locale: 'zh-CN' | 'en' = 'zh-CN'): Tongue {
  const t = (key: string, values: Record<string, unknown> = {}): string => i18n.global.t(key, values, { locale })
  const number = (value: number): string => value.toLocaleString(locale, { maximumFractionDigits: 6 })
  const length = (length_s: number): string => {
    const { key, count } = exact(length_s)
    return t(`exactly.${key}`, { count: number(count) })
  }
  const about = (length_s: number): string => {
    const spelled = spell(length_s)
    return t(`duration.${spelled.key}`, spelled.values)
  }
  return { t, length, about, number, english: locale === 'en' }
}

export const known = (key: string): boolean => i18n.global.te(key)
