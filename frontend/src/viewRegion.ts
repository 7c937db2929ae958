/** The region in view and the way up to the account's own: what the breadcrumb shows and `Esc` walks. */
import { computed, ref, shallowRef } from 'vue'
import { Problem, Unreachable, api } from './api'
import type { Region } from './contract'
import { account } from './session'

export function useViewRegion() {
  /** From the account's region down to the one in view, the account's region itself left out. */
  const way = shallowRef<readonly Region[]>([])
  /** How often the reader asked for the region in view as a whole, the map included. */
  const looks = ref(0)
  const known = new Map<string, Region>()
  const root = computed(() => ({ code: account.value?.region ?? '', name: account.value?.region_name ?? '', tier: account.value?.tier ?? 'city' }))
  const region = computed(() => way.value.at(-1) ?? null)
  const code = computed(() => region.value?.code ?? root.value.code)
  const tier = computed(() => region.value?.tier ?? root.value.tier)

  async function find(wanted: string): Promise<Region | null> {
    const found = known.get(wanted) ?? (await api.region(wanted))
    if (found) known.set(wanted, found)
    return found
  }

  async function go(wanted: string): Promise<void> {
    const found: Region[] = []
    try {
      for (let next: string | null = wanted; next && next !== root.value.code; ) {
        const step: Region | null = await find(next)
        if (!step) return
        found.unshift(step)
        next = step.parent
      }
    } catch (failure) {
      // The view stays where it is; the banner tells when the link is away.
      if (failure instanceof Problem || failure instanceof Unreachable) return
      throw failure
    }
    way.value = found
    looks.value += 1
  }

  function up(): boolean {
    if (way.value.length === 0) return false
    way.value = way.value.slice(0, -1)
    looks.value += 1
    return true
  }

  return { root, way, region, code, tier, looks, go, up }
}
