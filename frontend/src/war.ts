/** The wartime operation that concerns this account, by the live link; it ends here when its time has come, link or none. */
import { computed } from 'vue'
import type { Mode } from './contract'
import { live } from './live'
import { inForce, isSame } from './mode'

export const war = computed<Mode[]>((before) => {
  const after = inForce(live.shelves.mode.value.values(), live.now_ms.value)
  return before && isSame(before, after) ? before : after
})
