/** The map's colours. The canvas cannot read CSS roles by itself, so they are taken once from the element it lies in. */
import type { Severity } from '../contract'

export interface Palette {
  ground: string
  land: string
  text: string
  quiet: string
  accent: string
  water: string
  road: string
  cell_line: string
  border: { city: string; county: string; township: string; village: string }
  severity: Record<Severity, string>
  /** Five steps of 20 points, least first. */
  risk: readonly string[]
  war: string
  /** Ink of the figure inside a pin, and the pin's rim. */
  on_pin: string
  normal: string
  unknown: string
  /** Smallest text in px; pins and labels are multiples of it. */
  text_px: number
}

export function paletteOf(place: Element, dark: boolean): Palette {
  const look = getComputedStyle(place)
  const role = (name: string): string => look.getPropertyValue(`--${name}`).trim()
  return {
    ground: dark ? '#0a101c' : '#e9edf2',
    land: dark ? '#121c31' : '#fbfcfd',
    text: role('text'),
    quiet: role('quiet'),
    accent: role('accent'),
    water: dark ? '#1c3d61' : '#c3dcf0',
    road: dark ? '#2e4064' : '#dfe3ea',
    cell_line: dark ? '#2a3754' : '#d5dae3',
    border: dark
      ? { city: '#dbe6fb', county: '#8fa6cd', township: '#4f648c', village: '#36486b' }
      : { city: '#2b3a55', county: '#5b6f92', township: '#97a6be', village: '#c0c9d7' },
    severity: { 1: role('severity-1'), 2: role('severity-2'), 3: role('severity-3'), 4: role('severity-4') },
    risk: [1, 2, 3, 4, 5].map((step) => role(`risk-${step}`)),
    war: role('war'),
    on_pin: dark ? '#0b1220' : '#ffffff',
    normal: role('normal'),
    unknown: role('unknown'),
    text_px: parseFloat(look.fontSize),
  }
}
