/** Figures of the region in view, asked again when it or something in it changed and every quarter of a minute besides. */
import { onScopeDispose, shallowRef, watch } from 'vue'
import { Problem, Unreachable, api } from './api'
import type { Summary } from './contract'
import { live } from './live'

const EVERY_MS = 15_000
const AFTER_CHANGE_MS = 700

/** `region` is the code of the region in view, null for the account's whole region. */
export function useSummary(region: () => string | null) {
  const summary = shallowRef<Summary | null>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  let due_at = Infinity
  let stopped = false

  async function ask(): Promise<void> {
    due_at = Infinity
    const asked = region()
    try {
      const found = await api.summary(asked)
      // The reader may have gone elsewhere meanwhile; that view has asked for itself.
      if (asked === region()) summary.value = found
    } catch (failure) {
      // The old figures stay; the stale banner tells how old the screen is.
      if (!(failure instanceof Problem || failure instanceof Unreachable)) throw failure
    }
    plan(EVERY_MS)
  }

  function plan(delay_ms: number): void {
    const at = performance.now() + delay_ms
    if (stopped || at >= due_at) return
    clearTimeout(timer)
    due_at = at
    timer = setTimeout(() => void ask(), delay_ms)
  }

  watch([live.shelves.ticket, live.shelves.sensor, live.shelves.camera, live.shelves.link], () =>
    plan(AFTER_CHANGE_MS),
  )
  watch(region, () => plan(0))
  onScopeDispose(() => {
    stopped = true
    clearTimeout(timer)
  })
  void ask()
  return summary
}
