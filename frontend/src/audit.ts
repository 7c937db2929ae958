/** Findings of the auditor of deadlines, as a list that grows at its new end. Pure. */
import type { DeadlineFinding } from './contract'

/** The scheduler beats once a second; silent for three rounds of the auditor, it does not work. */
export const SILENT_S = 60

/** Known and newly read findings, each once, newest first. */
export function withFresh(known: readonly DeadlineFinding[], read: readonly DeadlineFinding[]): DeadlineFinding[] {
  const found = new Map([...known, ...read].map((finding) => [finding.id, finding]))
  return [...found.values()].sort((a, b) => Date.parse(b.found_at) - Date.parse(a.found_at) || b.id - a.id)
}
