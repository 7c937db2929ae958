/** What may be done to an incident: by whom, and what is still missing. */
import { type Incident, type IncidentSignal, TIERS, type Tier } from './contract'

/** The same table as the server's: below the township nobody sees what lies around. */
export function mayRegroup(tier: Tier, incident: Pick<Incident, 'status'>): boolean {
  return TIERS.indexOf(tier) <= TIERS.indexOf('township') && incident.status === 'open'
}

/** Why the chosen signals cannot become a matter of their own; null: they can. `signals` counts all that the incident has. */
export function splitLacks(chosen: ReadonlySet<string>, signals: number, reason: string): 'none' | 'all' | 'reason' | null {
  if (chosen.size === 0) return 'none'
  if (chosen.size >= signals) return 'all'
  return reason.trim() === '' ? 'reason' : null
}

/** What a person reported is split off by its own ticket. */
export function canPart(signal: Pick<IncidentSignal, 'kind'>): boolean {
  return signal.kind === 'alert'
}
