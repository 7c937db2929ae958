/** Builders of what the server says, with only what a test is about spelt out. */
import type { Alert, LiveEvent, Move, Step, Ticket } from '../src/contract'

export function ticket(given: Partial<Ticket> = {}): Ticket {
  return {
    id: 't1',
    number: '20261123-0001',
    title: '道路积水',
    title_en: 'Road flooded',
    status: 'filed',
    tier: 'city',
    region: 'V',
    cell: 'C',
    lng: 118.3,
    lat: 33.9,
    domain: 'emergency',
    category: 'waterlogging',
    severity: 3,
    path: [
      { tier: 'city', region: 'CITY', name: '宿迁市' },
      { tier: 'county', region: 'COUNTY', name: '宿城区' },
      { tier: 'township', region: 'TOWN', name: '项里街道' },
      { tier: 'village', region: 'V', name: '第 3 村' },
      { tier: 'grid', region: 'C', name: '第 12 网格' },
    ],
    holder: { region: 'CITY', name: '宿迁市', tier: 'city', account: null, account_name: null },
    opened_at: '2026-11-23T10:00:00+08:00',
    due_at: '2026-11-23T12:00:00+08:00',
    accepted_at: null,
    handled_at: null,
    closed_at: null,
    overdue_at: null,
    version: 1,
    incident: null,
    source: null,
    ...given,
  }
}

export function put(cursor: number, given: Partial<Ticket> = {}): LiveEvent {
  const data = ticket(given)
  return { cursor, kind: 'ticket', op: 'put', id: data.id, version: data.version, data }
}

export function gone(cursor: number, id: string, version = 1): LiveEvent {
  return { cursor, kind: 'ticket', op: 'gone', id, version }
}

export function alert(given: Partial<Alert> = {}): Alert {
  return {
    id: 'a1',
    version: 1,
    cell: 'C',
    region: 'V',
    severity: 2,
    ended_at: null,
    rule: 'road-waterlogging',
    source: { kind: 'sensor', id: 's1', name: '积水监测 1' },
    domain: 'emergency',
    category: 'waterlogging',
    title: '道路积水',
    title_en: 'Road waterlogging',
    quantity: 'water_depth',
    unit: 'm',
    value: 0.18,
    threshold: 0.15,
    raised_at: '2026-11-23T10:00:00+08:00',
    state: 'raised',
    acknowledged_at: null,
    acknowledged_by: null,
    muted: null,
    why: null,
    warning_level: null,
    ...given,
  }
}

export function move(name: Move['move'], given: Partial<Move> = {}): Move {
  return { move: name, needs_reason: name === 'return' || name === 'rework', to: [], asks: [], ...given }
}

export function step(given: Partial<Step> = {}): Step {
  return {
    version: 1,
    move: 'file',
    at: '2026-11-23T10:00:00+08:00',
    by: null,
    status: 'filed',
    tier: 'city',
    holder: { region: 'CITY', name: '宿迁市' },
    reason: null,
    ...given,
  }
}
