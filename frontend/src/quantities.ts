/** What quantities are called and measured in: asked once, when the first alert is explained. */
import { shallowRef } from 'vue'
import { Problem, Unreachable, api } from './api'
import type { Quantity } from './rule'

const quantities = shallowRef<Record<string, Quantity>>({})
let asked = false

export function useQuantities() {
  if (!asked) void load()
  return quantities
}

async function load(): Promise<void> {
  asked = true
  try {
    quantities.value = (await api.rules()).quantities
  } catch (failure) {
    // Their codes stand in; the next one who asks tries again.
    asked = false
    if (!(failure instanceof Problem || failure instanceof Unreachable)) throw failure
  }
}
