/** The layers a reader may switch. */
export type LayerName = 'tickets' | 'cells' | 'risk' | 'water' | 'cameras' | 'sensors'

/** Calm at first: devices are looked at when somebody asks for them. */
export const SHOWN_AT_FIRST: Record<LayerName, boolean> = { tickets: true, cells: true, risk: false, water: true, cameras: false, sensors: false }
