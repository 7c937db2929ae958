/**
 * A console is a replica of the server's append-only event log, cut to what its account may see.
 *
 * The order of things on every connection:
 *   1. `hold`         the socket opened: live events are kept aside, none is applied yet;
 *   2. `acknowledge`  the answer to `sync` came: snapshot or missed events are applied, then the held events above its cursor;
 *   3. `receive`      from now on events are applied as they come.
 * An event whose cursor is not above the replica's own is dropped, and an object never goes back to an older version, so a
 * repeated or late delivery changes nothing. Every function returns a new replica and leaves its argument as it was.
 */
import { isOpen } from './ticket'
import type { Alert, Camera, Device, Incident, Link, LiveEvent, Mode, Notice, RiskNews, SyncAnswer, Ticket } from './contract'

interface Kinds {
  ticket: Ticket
  incident: Incident
  alert: Alert
  sensor: Device
  camera: Camera
  link: Link
  notice: Notice
  mode: Mode
  risk: RiskNews
}
type Kind = keyof Kinds
type Shelf<Item> = ReadonlyMap<string, Item>
export type Shelves = { readonly [K in Kind]: Shelf<Kinds[K]> }

export interface Replica {
  readonly cursor: number | null
  /** Events that wait for the answer to `sync`; null once it came. */
  readonly held: readonly LiveEvent[] | null
  readonly shelves: Shelves
}

const KINDS: readonly Kind[] = ['ticket', 'incident', 'alert', 'sensor', 'camera', 'link', 'notice', 'mode', 'risk']

export function emptyReplica(): Replica {
  return { cursor: null, held: [], shelves: emptyShelves() }
}

/** A connection opened: keep what is known, hold what comes until `sync` is answered. */
export function hold(replica: Replica): Replica {
  return { ...replica, held: [] }
}

/** Apply live events, or keep them aside while `sync` is unanswered. */
export function receive(replica: Replica, events: readonly LiveEvent[]): Replica {
  if (replica.held !== null) return { ...replica, held: [...replica.held, ...events] }
  return apply(replica, events)
}

/** The answer to `sync`: a snapshot replaces everything, missed events are applied, then the held ones. */
export function acknowledge(replica: Replica, answer: SyncAnswer): Replica {
  const held = replica.held ?? []
  const base: Replica = answer.snapshot
    ? { cursor: answer.cursor, held: null, shelves: shelvesOf(answer.snapshot) }
    : { ...replica, held: null }
  const caught = apply(base, answer.events ?? [])
  const cursor = Math.max(answer.cursor, caught.cursor ?? answer.cursor)
  return apply({ ...caught, cursor }, held)
}

/** Take over a ticket that an HTTP answer carried, unless the log already told a newer version. */
export function merge(replica: Replica, ticket: Ticket): Replica {
  const known = replica.shelves.ticket.get(ticket.id)
  if (known && known.version >= ticket.version) return replica
  const { moves: _moves, ...pushed } = ticket
  return { ...replica, shelves: { ...replica.shelves, ticket: new Map(replica.shelves.ticket).set(ticket.id, pushed) } }
}

/** The same for alerts. */
export function mergeAlerts(replica: Replica, alerts: readonly Alert[]): Replica {
  const newer = alerts.filter((alert) => (replica.shelves.alert.get(alert.id)?.version ?? -1) < alert.version)
  if (newer.length === 0) return replica
  const shelf = new Map(replica.shelves.alert)
  for (const { moves: _moves, ...pushed } of newer) shelf.set(pushed.id, pushed)
  return { ...replica, shelves: { ...replica.shelves, alert: shelf } }
}

/** Drop closed tickets, ended alerts, told ends of groups and ended wartime operation that lie before `before_ms`: they were shown done for a moment. */
export function forgetEnded(replica: Replica, before_ms: number): Replica {
  const ended = (at: string | null): boolean => at !== null && Date.parse(at) < before_ms
  const ticket = without(replica.shelves.ticket, (item) => !isOpen(item) && ended(item.closed_at ?? item.opened_at))
  // An alert that ended unseen stays until somebody has looked.
  const alert = without(replica.shelves.alert, (item) => item.state !== 'returned' && ended(item.ended_at))
  const notice = without(replica.shelves.notice, (item) => item.kind === 'over' && ended(item.at))
  const mode = without(replica.shelves.mode, (item) => ended(item.ended_at ?? item.ends_at))
  const shelves = { ...replica.shelves, ticket, alert, notice, mode }
  if (KINDS.every((kind) => shelves[kind] === replica.shelves[kind])) return replica
  return { ...replica, shelves }
}

function emptyShelves(): Shelves {
  return { ticket: new Map(), incident: new Map(), alert: new Map(), sensor: new Map(), camera: new Map(), link: new Map(), notice: new Map(), mode: new Map(), risk: new Map() }
}

function shelvesOf(snapshot: NonNullable<SyncAnswer['snapshot']>): Shelves {
  const byId = <Item extends { id: string }>(items: Item[]): Shelf<Item> => new Map(items.map((item) => [item.id, item]))
  return {
    ...emptyShelves(),
    ticket: byId(snapshot.tickets),
    incident: byId(snapshot.incidents),
    alert: byId(snapshot.alerts),
    notice: byId(snapshot.notices ?? []),
    mode: byId(snapshot.modes ?? []),
  }
}

function apply(replica: Replica, events: readonly LiveEvent[]): Replica {
  let cursor = replica.cursor
  // One copy per touched shelf and batch, however many events the batch holds.
  const copies: Partial<Record<Kind, Map<string, { version?: number }>>> = {}
  for (const event of events) {
    if (cursor !== null && event.cursor <= cursor) continue
    cursor = event.cursor
    if (!isKind(event.kind)) continue
    const shelf = (copies[event.kind] ??= new Map<string, { version?: number }>(replica.shelves[event.kind]))
    place(shelf, event)
  }
  if (cursor === replica.cursor) return replica
  return { ...replica, cursor, shelves: { ...replica.shelves, ...copies } as Shelves }
}

function place(shelf: Map<string, { version?: number }>, event: LiveEvent): void {
  if (event.op === 'gone') {
    shelf.delete(event.id)
    return
  }
  const known = shelf.get(event.id)
  if (known?.version !== undefined && known.version > event.version) return
  if (!event.data) return
  // What was told last stands last: the order of a shelf is that of its news.
  shelf.delete(event.id)
  shelf.set(event.id, event.data as { version?: number })
}

function without<Item>(shelf: Shelf<Item>, drops: (item: Item) => boolean): Shelf<Item> {
  const kept = [...shelf].filter(([, item]) => !drops(item))
  return kept.length === shelf.size ? shelf : new Map(kept)
}

function isKind(kind: string): kind is Kind {
  return (KINDS as readonly string[]).includes(kind)
}
