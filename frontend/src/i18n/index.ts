/** Chinese first, English complete; the choice is remembered and told to the document. */
import { watch } from 'vue'
import { createI18n } from 'vue-i18n'
import { recall, remember } from '../remember'
import { en } from './en'
import { zh } from './zh-CN'

export const LANGUAGES = ['zh-CN', 'en'] as const
export type Language = (typeof LANGUAGES)[number]

export const i18n = createI18n({
  legacy: false,
  locale: recall<Language>('language') === 'en' ? 'en' : 'zh-CN',
  fallbackLocale: 'zh-CN',
  messages: { 'zh-CN': zh, en },
})

watch(
  i18n.global.locale,
  (language) => {
    document.documentElement.lang = language
    remember('language', language)
  },
  { immediate: true },
)
