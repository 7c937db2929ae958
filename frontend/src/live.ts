/**
 * The live link: one socket, one replica, one clock for the whole page.
 *
 * Every age and countdown is told by the server's clock: the last pulse's time plus the time since, by a clock of this machine
 * that cannot jump. A wrong clock on a desk therefore shows no wrong age.
 */
import { isOpen } from './ticket'
import { type Socket, io } from 'socket.io-client'
import { computed, ref, shallowReadonly, shallowRef } from 'vue'
import { Problem, api } from './api'
import type { Alert, LiveEvent, Pulse, SyncAnswer, Ticket } from './contract'
import { freshness as freshnessAt } from './freshness'
import { acknowledge, emptyReplica, forgetEnded, hold, merge, mergeAlerts as mergedAlerts, receive } from './replica'
import { forget } from './session'

/** Events are applied in small heaps, so that a storm redraws twenty times a second and not five hundred. */
const HEAP_MS = 50
const SYNC_LIMIT_MS = 5_000
/** How long a closed ticket or an ended alert stays to be seen. */
const AFTERGLOW_MS = 6_000
/** A ticket that opened longer ago was missed while away; it is listed but not announced. */
const NEWS_MS = 30_000

const replica = shallowRef(emptyReplica())
const pulse = shallowRef<Pulse | null>(null)
const now_ms = ref(Date.now())
const silence_s = ref(0)
const synced = ref(false)
const linked = ref(false)

let socket: Socket | null = null
let heap: LiveEvent[] = []
let heapTimer: ReturnType<typeof setTimeout> | undefined
let tickTimer: ReturnType<typeof setTimeout> | undefined
let heard_at = performance.now()
let pulse_ms: number | null = null
const listeners = new Set<(tickets: Ticket[]) => void>()

export const live = {
  /** By kind. A shelf changes only when something on it does: the replica changes with every sensor that speaks, and a map or list made
   * from it would be drawn anew each time. */
  shelves: {
    ticket: computed(() => replica.value.shelves.ticket),
    alert: computed(() => replica.value.shelves.alert),
    incident: computed(() => replica.value.shelves.incident),
    notice: computed(() => replica.value.shelves.notice),
    mode: computed(() => replica.value.shelves.mode),
    risk: computed(() => replica.value.shelves.risk),
    sensor: computed(() => replica.value.shelves.sensor),
    camera: computed(() => replica.value.shelves.camera),
    link: computed(() => replica.value.shelves.link),
  },
  pulse: shallowReadonly(pulse),
  /** Server time in ms, told once a second. */
  now_ms: shallowReadonly(now_ms),
  /** True once a snapshot came: before that an empty list means "not known yet". */
  synced: shallowReadonly(synced),
  /** True while the socket is open and caught up. */
  linked: shallowReadonly(linked),
  freshness: computed(() => freshnessAt(now_ms.value, silence_s.value, pulse.value)),
}

/** Called with tickets that have just appeared; returns the way to stop listening. */
export function onArrival(listener: (tickets: Ticket[]) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function mergeTicket(ticket: Ticket): void {
  replica.value = merge(replica.value, ticket)
}

export function mergeAlerts(alerts: readonly Alert[]): void {
  replica.value = mergedAlerts(replica.value, alerts)
}

export function startLive(): void {
  if (socket) return
  heard_at = performance.now()
  tick()
  socket = io({ transports: ['websocket'], reconnectionDelay: 500, reconnectionDelayMax: 5_000, randomizationFactor: 0.5 })
  socket.on('connect', synchronise)
  socket.on('event', queue)
  socket.on('pulse', hear)
  socket.on('disconnect', reconnect)
  socket.on('connect_error', checkSession)
}

export function stopLive(): void {
  socket?.removeAllListeners()
  socket?.disconnect()
  socket = null
  clearTimeout(heapTimer)
  clearTimeout(tickTimer)
  heapTimer = undefined
  heap = []
  replica.value = emptyReplica()
  pulse.value = null
  pulse_ms = null
  synced.value = false
  linked.value = false
}

function synchronise(): void {
  const connection = socket
  flush()
  replica.value = hold(replica.value)
  connection?.timeout(SYNC_LIMIT_MS).emit('sync', { cursor: replica.value.cursor }, (late: Error | null, answer: SyncAnswer) => {
    if (connection !== socket) return
    if (late) {
      // Without an answer nothing that comes can be placed: begin again with a new connection.
      connection?.disconnect().connect()
      return
    }
    flush()
    const before = replica.value.shelves.ticket
    replica.value = acknowledge(replica.value, answer)
    if (!answer.snapshot) announce(before)
    synced.value = true
    linked.value = true
  })
}

function queue(event: LiveEvent): void {
  heap.push(event)
  heapTimer ??= setTimeout(flush, HEAP_MS)
}

function flush(): void {
  clearTimeout(heapTimer)
  heapTimer = undefined
  if (heap.length === 0) return
  const before = replica.value.shelves.ticket
  replica.value = receive(replica.value, heap)
  heap = []
  announce(before)
}

function announce(before: ReadonlyMap<string, Ticket>): void {
  const after = replica.value.shelves.ticket
  if (after === before) return
  const news = [...after.values()].filter(
    (ticket) => !before.has(ticket.id) && isOpen(ticket) && serverNow() - Date.parse(ticket.opened_at) < NEWS_MS,
  )
  if (news.length > 0) listeners.forEach((listener) => listener(news))
}

function hear(said: Pulse): void {
  heard_at = performance.now()
  pulse_ms = Date.parse(said.at)
  pulse.value = said
  show()
}

/** Socket.IO comes back by itself unless the server cut the connection on purpose, which it does to slow clients. */
function reconnect(reason: string): void {
  linked.value = false
  flush()
  if (reason !== 'io server disconnect') return
  const cut = socket
  setTimeout(() => cut === socket && cut?.connect(), 500 + Math.random() * 1500)
}

async function checkSession(): Promise<void> {
  try {
    await api.session()
  } catch (error) {
    if (error instanceof Problem && error.status === 401) forget()
  }
}

function serverNow(): number {
  return pulse_ms === null ? Date.now() : pulse_ms + (performance.now() - heard_at)
}

function show(): void {
  now_ms.value = serverNow()
  silence_s.value = (performance.now() - heard_at) / 1000
}

function tick(): void {
  show()
  replica.value = forgetEnded(replica.value, now_ms.value - AFTERGLOW_MS)
  clearTimeout(tickTimer)
  // Wake just after the server's second turns, so that all clocks on the screen turn together.
  tickTimer = setTimeout(tick, 1000 - (now_ms.value % 1000) + 5)
}
