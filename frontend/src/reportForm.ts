/** A report being written: kept on this device until the server has it, and sent once however often it is pressed. */
import { computed, ref, shallowRef, watch } from 'vue'
import { Problem, Unreachable, api, newKey } from './api'
import type { Receipt } from './contract'
import { type ReportDraft, emptyReport, faultsOf, isEmpty, wishOf } from './reportDraft'
import { recall, remember } from './remember'

interface Kept {
  draft: ReportDraft
  /** A wish keeps its key until the server answered it. */
  wish: { about: string; key: string }
}

/** @param name where it is kept on this device; null: nowhere, it holds what another person said */
export function useReportForm(name: string | null, asksChannel: boolean) {
  const kept = name ? recall<Kept>(name) : null
  const draft = ref<ReportDraft>({ ...emptyReport(), ...kept?.draft })
  const found = ref(!isEmpty(draft.value))
  let wish = kept?.wish ?? { about: '', key: '' }
  const tried = ref(false)
  const busy = ref(false)
  const failure = shallowRef<Problem | Unreachable | null>(null)
  const faults = computed(() => (tried.value ? faultsOf(draft.value, asksChannel) : []))

  function keep(): void {
    if (name) remember(name, { draft: draft.value, wish })
  }
  watch(draft, keep, { deep: true })

  function clear(): void {
    draft.value = emptyReport()
    wish = { about: '', key: '' }
    found.value = false
    tried.value = false
    failure.value = null
  }

  /** The receipt, or null when something is missing or it did not get through. */
  async function send(): Promise<Receipt | null> {
    tried.value = true
    const body = wishOf(draft.value)
    if (busy.value || faults.value.length > 0 || !body) return null
    const about = JSON.stringify(body)
    if (wish.about !== about) wish = { about, key: newKey() }
    keep()
    busy.value = true
    failure.value = null
    try {
      const receipt = await api.report(body, wish.key)
      clear()
      return receipt
    } catch (why) {
      if (!(why instanceof Problem || why instanceof Unreachable)) throw why
      failure.value = why
      return null
    } finally {
      busy.value = false
    }
  }

  return { draft, found, faults, busy, failure, send, clear }
}
