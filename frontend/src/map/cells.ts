/** Which cells are coloured, and how strongly. */
import type { Alert, Severity } from '../contract'

/** The gravest open alert of each cell. */
export function severityByCell(alerts: Iterable<Alert>): Map<string, Severity> {
  const gravest = new Map<string, Severity>()
  for (const alert of alerts) {
    if (alert.ended_at !== null) continue
    if (alert.severity > (gravest.get(alert.cell) ?? 0)) gravest.set(alert.cell, alert.severity)
  }
  return gravest
}

/** What changes on the map from one colouring to the next; null clears a cell. */
export function recolour<Shade>(before: ReadonlyMap<string, Shade>, after: ReadonlyMap<string, Shade>): [cell: string, shade: Shade | null][] {
  const changed: [string, Shade | null][] = [...after].filter(([cell, shade]) => before.get(cell) !== shade)
  for (const cell of before.keys()) if (!after.has(cell)) changed.push([cell, null])
  return changed
}
