/** One shape for each ISA-18.2 state, in a 32 by 32 field around zero: a state is never told by colour alone. */
import type { AlertState } from './contract'

interface Shape {
  path: string
  /** Filled shapes ask for a look, drawn ones do not. */
  filled: boolean
}

const RING = 'M-11 0a11 11 0 1 0 22 0a11 11 0 1 0-22 0z'

export const ALERT_SHAPES: Record<AlertState, Shape> = {
  // a bell that rings
  raised: { path: 'M0-14c5 0 8.500 3.500 8.500 9v6l4 6v2h-25v-2l4-6v-6c0-5.500 3.500-9 8.500-9zM-4 11h8a4 4 0 0 1-8 0z', filled: true },
  // a tick in a ring
  acknowledged: { path: `${RING}M-5 0l4 4 7-8`, filled: false },
  // a ring with its middle still there
  returned: { path: `${RING}M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z`, filled: false },
  normal: { path: RING, filled: false },
  // a clock: for a while
  shelved: { path: `${RING}M0-6v6l5 3`, filled: false },
  // a ring struck through
  suppressed: { path: `${RING}M-7.500 7.500l15-15`, filled: false },
  // a square struck through
  out_of_service: { path: 'M-10-10h20v20h-20zM-10 10l20-20', filled: false },
}
