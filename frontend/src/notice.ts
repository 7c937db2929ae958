/** Group notices: a few calm lines, newest first, one for each group. */
import type { Notice } from './contract'

export const NOTICES_SHOWN = 3

/**
 * @param notices  oldest news first, as the replica keeps them
 * @param within   whether a notice's region lies in view
 */
export function newestNotices(notices: Iterable<Notice>, within: (notice: Notice) => boolean = () => true): Notice[] {
  return [...notices].filter(within).reverse().slice(0, NOTICES_SHOWN)
}
