/** What became of an incident among others, in words. */
import type { IncidentStep } from './contract'
import type { Tongue } from './ruleWords'

/** Reasons that the system itself gives; a person's are shown as they were written. */
const OWN_REASONS: Readonly<Record<string, string>> = { 'both owe a report upwards': 'incident.both_owe' }

export function incidentStepWords(step: IncidentStep, tongue: Tongue): string {
  const { kind, number, signals, from } = step.facts
  if (step.what === 'opened') return tongue.t(`incident.step.opened_by.${kind === 'report' ? 'report' : 'alert'}`)
  const others = Array.isArray(from) ? from.length : 1
  const other = number ? tongue.t('incident.named', { number }) : tongue.t('incident.others', { count: others })
  const words = tongue.t(`incident.step.${step.what}`, { other })
  return signals ? tongue.t('incident.with_signals', { words, count: signals }) : words
}

export function incidentReason(step: IncidentStep, tongue: Tongue): string | null {
  if (step.reason === null) return null
  const own = step.by === null ? OWN_REASONS[step.reason] : undefined
  return own ? tongue.t(own) : step.reason
}
