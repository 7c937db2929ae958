/** The incident behind a ticket: as the log tells it, asked for once where it does not, and what a person's answer brought. */
import { computed, shallowRef, watch } from 'vue'
import { Problem, Unreachable, api } from './api'
import type { Incident } from './contract'
import { live } from './live'

/** @param id  of the incident; null where there is none */
export function useIncident(id: () => string | null) {
  const answered = shallowRef<Incident | null>(null)
  const incident = computed(() => {
    const now = id()
    const pushed = now ? live.shelves.incident.value.get(now) : undefined
    const known = answered.value?.id === now ? answered.value : null
    return pushed && (!known || pushed.version > known.version) ? pushed : known
  })

  async function ask(): Promise<void> {
    const asked = id()
    if (!asked) return
    try {
      const found = await api.incident(asked)
      if (asked === id()) answered.value = found
    } catch (failure) {
      // The ticket is readable without it; the banner tells when the link is away.
      if (!(failure instanceof Problem || failure instanceof Unreachable)) throw failure
    }
  }

  watch(id, (now) => now && !live.shelves.incident.value.has(now) && void ask(), { immediate: true })
  /** Take over what an answer carried. */
  const take = (found: Incident): void => void (answered.value = found)
  return { incident, ask, take }
}
