/** The shapes that HTTP and Socket.IO speak. Times are RFC 3339 strings, severities 1 (least) to 4. */

export const TIERS = ['city', 'county', 'township', 'village', 'grid'] as const
export type Tier = (typeof TIERS)[number]

export const DOMAINS = ['emergency', 'public_order', 'urban_management', 'traffic'] as const
export type Domain = (typeof DOMAINS)[number]

export const SEVERITIES = [1, 2, 3, 4] as const
export type Severity = (typeof SEVERITIES)[number]

export const STATUSES = ['filed', 'dispatched', 'accepted', 'returned', 'handled', 'closed'] as const
export type Status = (typeof STATUSES)[number]

export const MOVES = ['dispatch', 'accept', 'return', 'finish', 'rework', 'close'] as const
export type MoveName = (typeof MOVES)[number]

export type Bounds = [west: number, south: number, east: number, north: number]

export interface Account {
  username: string
  name: string
  tier: Tier
  region: string
  region_name: string
}

export interface City {
  code: string
  name: string
}

export interface Session {
  account: Account
  city: City
}

export interface Summary {
  at: string
  domains: { domain: Domain; open: number; today: number; overdue: number; trend: number[] }[]
  sensors: Presence
  cameras: Presence
  worker: { state: string; beat_at: string | null }
  data_at: string | null
}

export interface Presence {
  online: number
  offline: number
  unknown: number
  total: number
}

export interface MapDescription {
  synthetic: boolean
  bounds: Bounds
  city_bounds: Bounds
  layers: Record<'regions' | 'cells' | 'water', { version: string }>
}

export interface Region {
  code: string
  name: string
  tier: Tier
  parent: string | null
  inferred: boolean
  label: [lng: number, lat: number]
  bounds: Bounds
}

export interface Holder {
  region: string
  name: string
  tier: Tier
  account: string | null
  account_name: string | null
}

export interface Source {
  kind: 'sensor' | 'camera'
  id: string
  name: string
}

export interface Move {
  move: MoveName
  needs_reason: boolean
  to: { region: string; name: string }[]
}

export interface Ticket {
  id: string
  number: string
  title: string
  title_en: string
  detail?: string | null
  detail_en?: string | null
  status: Status
  tier: Tier
  region: string
  cell: string
  lng: number
  lat: number
  domain: Domain
  category: string
  severity: Severity
  path: { tier: Tier; region: string; name: string }[]
  holder: Holder
  opened_at: string
  due_at: string | null
  accepted_at: string | null
  handled_at: string | null
  closed_at: string | null
  overdue_at: string | null
  version: number
  incident: string | null
  source: Source | null
  /** What the asking account may do now; absent in pushes. */
  moves?: Move[]
}

export interface Step {
  version: number
  move: string
  at: string
  by: { account: string; name: string; tier: Tier } | null
  status: Status
  tier: Tier
  holder: { region: string; name: string }
  reason: string | null
}

export interface Incident {
  id: string
  version: number
}

export interface Alert {
  id: string
  version: number
  cell: string
  region: string
  severity: Severity
  ended_at: string | null
}

export interface Device {
  id: string
  name: string
  lng: number
  lat: number
  state: 'online' | 'offline' | 'unknown'
  version?: number
}

export interface Camera extends Device {
  direction: number | null
  field_of_view: number | null
}

export interface Page<Item> {
  items: Item[]
  next: string | null
}

export interface LiveEvent {
  cursor: number
  kind: string
  op: 'put' | 'gone'
  id: string
  version: number
  data?: unknown
}

export interface SyncAnswer {
  cursor: number
  snapshot?: { tickets: Ticket[]; incidents: Incident[]; alerts: Alert[] }
  events?: LiveEvent[]
}

export interface Pulse {
  at: string
  worker_at: string | null
  data_at: string | null
}
