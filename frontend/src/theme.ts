/** Dark for the wall and night desks, light for day desks and the phone. */
import { ref, watch } from 'vue'
import { recall, remember } from './remember'

export type Theme = 'dark' | 'light'

/** The desk's own choice; wall and phone do not ask. */
export const deskTheme = ref<Theme>(recall<Theme>('theme') === 'light' ? 'light' : 'dark')
watch(deskTheme, (chosen) => remember('theme', chosen))

export function wear(theme: Theme, page: string): void {
  document.documentElement.dataset.theme = theme
  document.documentElement.dataset.page = page
}
