/** Links of counties: of which nothing is heard now, longest first, and what of a device is the newest news. */
import type { Device, Link } from './contract'

/**
 * @param asked  as the last answer has them
 * @param told   as the log told of them since, by county
 */
export function linksAway(asked: readonly Link[], told: ReadonlyMap<string, Link>): Link[] {
  const known = new Map(asked.map((link) => [link.id, link]))
  for (const link of told.values()) if ((known.get(link.id)?.version ?? -1) < link.version) known.set(link.id, link)
  const since = (link: Link): number => (link.state_since ? Date.parse(link.state_since) : 0)
  return [...known.values()].filter((link) => link.state === 'silent' || link.state === 'offline').sort((a, b) => since(a) - since(b))
}

/** Of a device as it was asked for and as it was told of: what is newer. A sensor of a silent link is not told of by itself. */
export function newerOf(asked: Device, told: Device | undefined): Device {
  if (!told) return asked
  return Date.parse(asked.state_since ?? '') > Date.parse(told.state_since ?? '') && asked.state === 'silent' ? asked : told
}
