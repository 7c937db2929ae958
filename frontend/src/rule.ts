/** A rule as the rulebook holds it. Durations are seconds, values in the quantity's unit. */
import type { Domain, Severity } from './contract'

export const RULE_KINDS = [
  'threshold',
  'rate',
  'window',
  'exceedance',
  'deviation',
  'difference',
  'area',
  'combination',
  'count',
  'absence',
  'camera_event',
] as const
export type RuleKind = (typeof RULE_KINDS)[number]

export interface Words {
  'zh-CN': string
  en: string
}

export interface Level {
  severity: Severity
  at: number
  action?: Words | null
  for_s?: number | null
  warning_level?: Severity | null
}

export type Direction = 'above' | 'below'

export interface Leaf {
  quantity: string
  above?: number | null
  below?: number | null
  fresh_s?: number
}
export type Condition = { all: Condition[] } | { any: Condition[] } | { not: Condition } | Leaf

export interface Rule {
  kind: RuleKind
  id: string
  domain: Domain
  category: string
  title: Words
  source: { text: string; confidence: 'found' | 'unverified' }
  version: number
  effective_from?: string | null
  effective_to?: string | null
  where?: { sensors?: string[]; not_sensors?: string[]; regions?: string[]; inside?: string | null; outside?: string | null } | null
  when?: { hours?: string[]; days?: number[]; calendar?: 'workday' | 'day_off' | null; mode?: 'peacetime' | 'wartime' | null } | null
  notes?: string
  direction?: Direction
  levels?: Level[]
  clear?: number | null
  for_s?: number
  clear_for_s?: number
  gap?: 'hold' | 'reset' | 'fire' | null
  gap_after_s?: number | null
  disorder_s?: number
  damping?: { raises: number; within_s: number; settle_s: number } | null
  sites?: { sensor: string; levels: Level[]; clear: number }[]
  quantity?: string
  statistic?: 'mean' | 'max' | 'min' | 'sum' | 'percentile'
  over_s?: number
  per_s?: number
  percentile?: number | null
  limit?: number
  side?: Direction | 'either'
  mean_s?: number | null
  least_days?: number
  pairs?: { a: string; b: string }[]
  apart_s?: number
  inside?: string
  condition?: Condition
  reach?: { radius_m?: number | null } | null
  severity?: Severity
  action?: Words
  of?: { rule?: string | null; category?: string | null; camera_event?: string | null }
  event?: string
  zones?: string[]
  min_score?: number
  lasting_s?: number
}

export interface Quantity {
  title: string
  title_en: string
  unit: string
}

/** The levels of any kind: kinds without a ladder have one rung and no number. */
export function severitiesOf(rule: Rule): Severity[] {
  return rule.levels?.length ? rule.levels.map((level) => level.severity) : rule.severity ? [rule.severity] : []
}

/** The unit of a level's number, which is not always the quantity's: a count has none, a rate has one per time. */
export function levelUnit(rule: Rule, unit: string): string {
  const plain = unit === '1' ? '' : unit
  if (rule.kind === 'exceedance' || rule.kind === 'deviation' || rule.kind === 'count' || rule.kind === 'area') return ''
  if (rule.kind === 'absence') return 's'
  if (rule.kind !== 'rate') return plain
  const per = { 60: 'min', 3600: 'h', 86400: 'd' }[rule.per_s ?? 3600] ?? `${rule.per_s} s`
  return `${plain}/${per}`
}

export interface RuleSieve {
  words: string
  domain: Domain | null
  kind: RuleKind | null
  unverified: boolean
  state: 'firing' | 'edited' | null
}

export const ALL_RULES: RuleSieve = { words: '', domain: null, kind: null, unverified: false, state: null }

export function siftRules<Item extends Rule & { origin: string; open_alerts?: number }>(rules: readonly Item[], sieve: RuleSieve): Item[] {
  const wanted = sieve.words.trim().toLocaleLowerCase()
  const text = (rule: Item): string =>
    [rule.id, rule.title['zh-CN'], rule.title.en, rule.category, rule.quantity ?? ''].join('\n').toLocaleLowerCase()
  return rules.filter(
    (rule) =>
      (sieve.domain === null || rule.domain === sieve.domain) &&
      (sieve.kind === null || rule.kind === sieve.kind) &&
      (!sieve.unverified || rule.source.confidence === 'unverified') &&
      (sieve.state !== 'firing' || (rule.open_alerts ?? 0) > 0) &&
      (sieve.state !== 'edited' || rule.origin === 'edited') &&
      (wanted === '' || text(rule).includes(wanted)),
  )
}
