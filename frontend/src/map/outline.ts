/** One shape a severity, in a 32 by 32 field around zero: circle, triangle, diamond, octagon. Lists and map draw the same. */
import type { Severity } from '../contract'

export const OUTLINES: Record<Severity, string> = {
  1: 'M-11 0a11 11 0 1 0 22 0a11 11 0 1 0-22 0z',
  2: 'M0-13 13 10-13 10z',
  3: 'M0-14 14 0 0 14-14 0z',
  4: 'M-6-14 6-14 14-6 14 6 6 14-6 14-14 6-14-6z',
}
