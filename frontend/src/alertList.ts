/** The alerts a desk shows: what the log tells, and those that ended before this page was opened and nobody has looked at. */
import { computed, watch } from 'vue'
import { Problem, Unreachable, api } from './api'
import { alertOrder } from './alertWords'
import { live, mergeAlerts } from './live'

const RETURNED_SHOWN = 200

export function useAlertList() {
  watch(
    live.linked,
    async (linked) => {
      if (!linked) return
      try {
        mergeAlerts(await api.alerts({ state: 'returned', limit: RETURNED_SHOWN }))
      } catch (failure) {
        // The list goes on with what the log tells; the next link asks again.
        if (!(failure instanceof Problem || failure instanceof Unreachable)) throw failure
      }
    },
    { immediate: true },
  )
  return computed(() => alertOrder([...live.shelves.alert.value.values()].filter((alert) => alert.state !== 'normal')))
}
