/**
 * The door through which tiles come. MapLibre takes a tile that is not there (404) for an empty one and says nothing; here it
 * means that its version has ended, the ground was drawn anew, and whoever shows it has to ask for the version that has begun.
 */
import { addProtocol } from 'maplibre-gl'

export const GROUND = 'ground'

const listeners = new Set<() => void>()

/** Called for each tile whose version has ended; returns the way to stop listening. */
export function onOutdated(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

addProtocol(GROUND, async ({ url }, { signal }) => {
  const answer = await fetch(url.replace(`${GROUND}:/`, ''), { signal, credentials: 'same-origin' })
  if (answer.status === 404) {
    listeners.forEach((listener) => listener())
    return { data: new ArrayBuffer(0) }
  }
  if (!answer.ok) throw new Error(`tile ${url}: HTTP ${answer.status}`)
  return { data: await answer.arrayBuffer() }
})
