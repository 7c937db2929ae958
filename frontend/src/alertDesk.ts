/** What a person does to an alert: the wish with its key, who was faster, and what went wrong last. */
import { ref, shallowRef } from 'vue'
import { Problem, Unreachable, api, newKey } from './api'
import type { Alert, AlertMove } from './contract'
import { mergeAlerts } from './live'

export type AlertTrouble = 'stale' | Problem | Unreachable

export function useAlertMove() {
  const busy = ref(false)
  const trouble = shallowRef<AlertTrouble | null>(null)
  /** A wish keeps its key until it is answered, so that pressing again after a lost answer does it once. */
  let wish = { about: '', key: '' }

  async function act(alert: Alert, move: AlertMove, choice: { until?: string; reason?: string } = {}): Promise<boolean> {
    if (busy.value) return false
    const body = { move, version: alert.version, ...choice }
    const about = JSON.stringify([alert.id, body])
    if (wish.about !== about) wish = { about, key: newKey() }
    busy.value = true
    trouble.value = null
    try {
      mergeAlerts([await api.moveAlert(alert.id, body, wish.key)])
      return true
    } catch (failure) {
      trouble.value = told(failure)
      return false
    } finally {
      busy.value = false
    }
  }

  function told(failure: unknown): AlertTrouble {
    if (failure instanceof Problem && failure.status === 409 && failure.members.current) {
      mergeAlerts([failure.members.current as Alert])
      return 'stale'
    }
    if (failure instanceof Problem || failure instanceof Unreachable) return failure
    throw failure
  }

  return { busy, trouble, act }
}
