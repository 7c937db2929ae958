import { describe, expect, it, vi } from 'vitest'
import { watch } from 'vue'
import type { LiveEvent } from '../src/contract'
import { put, ticket } from './build'

const heard = new Map<string, (...said: never[]) => void>()
// The network is the only thing here that is not real.
const socket = {
  on: (name: string, listener: (...said: never[]) => void) => heard.set(name, listener),
  timeout: () => socket,
  emit: (_name: string, _asked: unknown, answer: (late: null, said: unknown) => void) =>
    answer(null, { cursor: 10, snapshot: { tickets: [ticket()], incidents: [], alerts: [] } }),
  removeAllListeners: () => heard.clear(),
  disconnect: () => socket,
}
vi.mock('socket.io-client', () => ({ io: () => socket }))
vi.mock('../src/session', () => ({ forget: () => undefined }))

const { live, startLive, stopLive } = await import('../src/live')
const say = (event: LiveEvent): void => heard.get('event')?.(event as never)
const afterAHeap = (): Promise<void> => new Promise((done) => setTimeout(done, 80))

describe('the live link', () => {
  it('lets what shows tickets rest while sensors speak, and wakes it when a ticket changes', async () => {
    startLive()
    heard.get('connect')?.()
    let drawn = 0
    const end = watch(live.shelves.ticket, () => (drawn += 1), { flush: 'sync' })
    say({ ...put(11), kind: 'sensor', id: 's1', data: { id: 's1', version: 1 } } as unknown as LiveEvent)
    await afterAHeap()
    expect(live.shelves.sensor.value.has('s1')).toBe(true)
    expect(drawn).toBe(0)
    say(put(12, { version: 5 }))
    await afterAHeap()
    expect(drawn).toBe(1)
    end()
    stopLive()
  })
})
