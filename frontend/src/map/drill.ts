/** Which region a click on the map means. */
import { TIERS, type Tier } from '../contract'
import { below } from '../ticket'

export interface Hit {
  code: string
  tier: Tier
}

/** A region under the pointer. */
export interface Place extends Hit {
  name: string
}

/**
 * One tier down when the click lies inside the region in view; beside it, its sibling; outside of everything, nothing.
 *
 * @param view  the region in view
 * @param hits  all regions under the pointer
 */
export function drill(view: Hit, hits: readonly Place[]): Place | null {
  const at = (tier: Tier | null): Place | null => hits.find((hit) => hit.tier === tier) ?? null
  const inside = hits.some((hit) => hit.code === view.code) || !hits.some((hit) => hit.tier === view.tier)
  if (inside) return view.tier === TIERS[3] ? null : at(below(view.tier))
  return at(view.tier)
}
