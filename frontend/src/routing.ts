/** The routing table and a matter tried on it: what a page needs to ask and to show. Pure. */
import type { Domain, RoutingAnswer, RoutingBook, RoutingRule, RoutingTrial, RoutingWish, Severity } from './contract'
import type { Rule } from './rule'
import type { Tongue } from './ruleWords'

export interface Spot {
  lng: number
  lat: number
}

/** What a person filled in; a cell that was typed goes before a place that was pointed at. */
export interface RoutingForm {
  domain: Domain
  category: string
  small_class: string
  severity: Severity
  spot: Spot | null
  cell: string
  day: string
}

/** The question to the server; null while the category or the place is missing. */
export function wishOf(form: RoutingForm): RoutingWish | null {
  const category = form.category.trim()
  const cell = form.cell.trim()
  const small_class = form.small_class.trim()
  if (category === '' || (cell === '' && !form.spot)) return null
  return {
    domain: form.domain,
    category,
    severity: form.severity,
    ...(small_class === '' ? {} : { small_class }),
    ...(cell === '' && form.spot ? { lng: form.spot.lng, lat: form.spot.lat } : { cell }),
    ...(form.day === '' ? {} : { day: form.day }),
  }
}

export interface Category {
  code: string
  /** What the rules in it are called; a category has no name of its own. */
  rules: Rule[]
}

/** The categories of a domain that some rule knows; those of the routing table alone belong to every domain. */
export function categoriesOf(domain: Domain, rules: readonly Rule[], book: RoutingBook | null): Category[] {
  const known = new Map<string, Rule[]>()
  for (const rule of rules) if (rule.domain === domain) known.set(rule.category, [...(known.get(rule.category) ?? []), rule])
  const elsewhere = new Set(rules.map((rule) => rule.category))
  for (const { when } of book?.items ?? []) {
    if (when.domain && !when.domain.includes(domain)) continue
    for (const code of when.category ?? []) if (!elsewhere.has(code)) known.set(code, known.get(code) ?? [])
  }
  return [...known].map(([code, own]) => ({ code, rules: own })).sort((a, b) => a.code.localeCompare(b.code))
}

export function smallClassesOf(book: RoutingBook | null): string[] {
  return [...new Set((book?.items ?? []).flatMap(({ when }) => when.small_class ?? []))].sort()
}

export interface Line {
  /** Its place in the table, from 1. */
  n: number
  rule: RoutingRule
  /** What became of it; null while nothing is tried. */
  trial: RoutingTrial | null
}

export function lines(book: RoutingBook, answer: RoutingAnswer | null): Line[] {
  const trials = new Map((answer?.rules ?? []).map((trial) => [trial.rule, trial]))
  return book.items.map((rule, index) => ({ n: index + 1, rule, trial: trials.get(rule.id) ?? null }))
}

/** What a rule is for, in as few words as it states. */
export function conditions({ when }: RoutingRule, book: RoutingBook, { t }: Pick<Tongue, 't'>): string[] {
  const regions = new Map(book.regions.map(({ code, name }) => [code, name]))
  const comma = t('rule.say.comma')
  const listed = (codes: readonly string[] | null | undefined, name: (code: string) => string): string => (codes ?? []).map(name).join(comma)
  const [from, to] = when.severity ?? []
  return [
    listed(when.domain, (code) => t(`domain.${code}`)),
    listed(when.category, (code) => code),
    when.small_class ? t('routing.small_classes', { codes: listed(when.small_class, (code) => code) }) : '',
    from && to ? (from === to ? t(`severity.${from}`) : t('routing.severities', { from: t(`severity.${from}`), to: t(`severity.${to}`) })) : '',
    listed(when.region, (code) => regions.get(code) ?? code),
    when.mode ? t(`rule.mode.${when.mode}`) : '',
  ].filter((part) => part !== '')
}
