/** The alerts behind a ticket: asked once for its incident, then kept by what the log tells. */
import { type Ref, computed, shallowRef, watch } from 'vue'
import { Problem, Unreachable, api } from './api'
import { alertOrder } from './alertWords'
import type { Alert, Ticket } from './contract'
import { live } from './live'

const SHOWN = 50
const AFTER_NEWS_MS = 1_000

export function useTicketAlerts(ticket: Ref<Ticket | null>) {
  const answered = shallowRef<{ incident: string; alerts: Alert[] } | null>(null)
  const incident = computed(() => ticket.value?.incident ?? null)
  const alerts = computed<Alert[]>(() => {
    if (!answered.value || answered.value.incident !== incident.value) return []
    return alertOrder(answered.value.alerts)
  })

  async function load(): Promise<void> {
    const asked = incident.value
    if (!asked) return
    try {
      const found = await api.alerts({ incident: asked, limit: SHOWN })
      if (asked === incident.value) answered.value = { incident: asked, alerts: found }
    } catch (failure) {
      // The ticket is readable without them; the banner tells when the link is away.
      if (!(failure instanceof Problem || failure instanceof Unreachable)) throw failure
    }
  }

  watch(incident, () => void load(), { immediate: true })
  // A ticket's version grows with each signal that joins.
  watch(
    () => ticket.value?.version,
    (_, __, clean) => {
      const timer = setTimeout(() => void load(), AFTER_NEWS_MS)
      clean(() => clearTimeout(timer))
    },
  )
  watch(live.linked, (linked) => linked && void load())
  // Taken over, not looked up: an ended alert leaves the shelf after a moment, and must not fall back to what it was.
  watch(live.shelves.alert, (shelf) => {
    const known = answered.value
    if (!known?.alerts.some((alert) => newest(alert, shelf.get(alert.id)) !== alert)) return
    answered.value = { ...known, alerts: known.alerts.map((alert) => newest(alert, shelf.get(alert.id))) }
  })
  return alerts
}

function newest(known: Alert, pushed: Alert | undefined): Alert {
  return pushed && pushed.version > known.version ? pushed : known
}
