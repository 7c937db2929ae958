/** Alerts: which moves a state allows, and why an alert was raised, told as short facts. */
import { TIERS, type Alert, type AlertMove, type AlertState, type Tier } from './contract'
import type { Quantity } from './rule'
import { type Tongue, measured, quantityName } from './ruleWords'

/** Still holds: the condition has not returned to normal. */
export function isActive(alert: Alert): boolean {
  return alert.ended_at === null
}

/** Nobody has to look: muted by a person or by design. */
export function isQuiet(alert: Alert): boolean {
  return alert.state === 'shelved' || alert.state === 'suppressed' || alert.state === 'out_of_service'
}

const MOVES: Record<AlertState, readonly AlertMove[]> = {
  raised: ['acknowledge', 'shelve', 'out_of_service'],
  acknowledged: ['shelve', 'out_of_service'],
  returned: ['acknowledge'],
  normal: [],
  shelved: ['unshelve', 'out_of_service'],
  suppressed: ['out_of_service'],
  out_of_service: ['in_service'],
}

/** Whether an account's tier may keep alerts quiet; everybody who sees one may acknowledge it. */
export function mayMute(tier: Tier): boolean {
  return TIERS.indexOf(tier) <= TIERS.indexOf('township')
}

/** What the server will allow: the same table as there, so that a button is offered only where it works. */
export function alertMoves(alert: Alert, tier: Tier): AlertMove[] {
  return MOVES[alert.state].filter((move) => move === 'acknowledge' || mayMute(tier))
}

const ORDER: readonly AlertState[] = ['raised', 'returned', 'acknowledged', 'shelved', 'suppressed', 'out_of_service', 'normal']

/** What waits for a look first, then the graver, then the newer. */
export function alertOrder(alerts: Iterable<Alert>): Alert[] {
  const rank = (alert: Alert): number => ORDER.indexOf(alert.state)
  return [...alerts].sort((a, b) => rank(a) - rank(b) || b.severity - a.severity || Date.parse(b.raised_at) - Date.parse(a.raised_at))
}

export interface Fact {
  name: string
  label: string
  text: string
}

/** Told by another fact, or no fact for a reader. */
const UNTOLD = new Set(['kind', 'over_s', 'per_s', 'percentile', 'held_s', 'since', 'statistic', 'warning_level', 'from', 'to', 'by', 'ended_by', 'low', 'high'])

/**
 * The facts in `why`, the ones every alert has first. A member this page does not know is told with its own name: nothing that
 * explains an alert is dropped.
 *
 * @param quantities  by name, as far as they are known
 * @param known  whether there is a text for a message key
 * @param clock  an RFC 3339 time as the reader's words
 */
export function whyFacts(
  alert: Alert,
  quantities: Record<string, Quantity>,
  tongue: Tongue,
  known: (key: string) => boolean,
  clock: (at: string) => string,
): Fact[] {
  const { t, length, about, number } = tongue
  const why = alert.why ?? {}
  const facts: Fact[] = []
  const tell = (name: string, text: string): void => {
    const key = `alert.fact.${name}`
    facts.push({ name, label: known(key) ? t(key) : name, text })
  }
  const unit = alert.unit === '1' ? '' : alert.unit
  const seconds = (name: string): number | null => (typeof why[name] === 'number' ? (why[name] as number) : null)
  const words = (name: string): string | null => (typeof why[name] === 'string' ? (why[name] as string) : null)

  const value = measured(rounded(alert.value), unit, tongue)
  const level = measured(rounded(alert.threshold), unit, tongue)
  // What only holds or does not has no number worth reading. An ended alert carries the value that ended it.
  if (why.kind === 'combination' || why.kind === 'area') {
    // told by its conditions
  } else if (alert.ended_at === null) tell(why.statistic === 'rarity' ? 'rarity' : 'value', `${value} ${alert.value >= alert.threshold ? '≥' : '≤'} ${level}`)
  else tell('last', t('alert.last', { value, level }))
  const statistic = words('statistic') ?? words('kind')
  const over_s = seconds('over_s')
  if (statistic !== null) {
    const key = `rule.computed.${statistic}`
    const name = known(key) ? t(key, { rank: number(seconds('percentile') ?? 0) }) : statistic
    tell('computed', over_s === null ? name : t('alert.over', { length: length(over_s), name }))
  }
  // Of a rarity the alert has the score; what came and what was expected are in the quantity's own unit.
  const own = quantities[alert.quantity ?? '']?.unit ?? ''
  const inUnit = (found: number): string => measured(rounded(found), own === '1' ? '' : own, tongue)
  if (typeof why.low === 'number' && typeof why.high === 'number') tell('usual', t('alert.from_to', { from: inUnit(why.low), to: inUnit(why.high) }))
  const [from, to] = [words('from'), words('to')]
  if (from !== null || to !== null) tell('span', t('alert.from_to', { from: from === null ? '…' : clock(from), to: to === null ? '…' : clock(to) }))
  const held_s = seconds('held_s')
  const since = words('since')
  if (since !== null) tell('since', held_s === null ? clock(since) : t('alert.held', { since: clock(since), length: about(held_s) }))
  else if (held_s !== null) tell('since', about(held_s))

  for (const [name, value] of Object.entries({ ...why, ended: why.ended ?? why.ended_by })) {
    if (UNTOLD.has(name) || value === null || value === undefined || value === false || value === '') continue
    if ((name === 'for_s' || name === 'day_before') && value === 0) continue
    // The statistic as it was raised, which an ended alert has left behind.
    if (name === 'value') {
      if (typeof value === 'number' && value !== alert.value) tell('raised', measured(rounded(value), unit, tongue))
      continue
    }
    if (name === 'conditions' && Array.isArray(value)) {
      tell(name, value.map((asked) => conditionFact(asked as Condition, quantities, tongue, clock)).join('\n'))
      continue
    }
    if ((name === 'seen' || name === 'expected') && typeof value === 'number') {
      tell(name, inUnit(value))
      continue
    }
    if (name === 'one_in' && typeof value === 'number') {
      tell(name, t('alert.one_in', { count: number(Number(value.toPrecision(2))) }))
      continue
    }
    tell(name, plain(name, value, { ...tongue, clock, known }))
  }
  const rank = (fact: Fact): number => (TOLD_ORDER.indexOf(fact.name) + 1 || TOLD_ORDER.length) + (fact.name === 'ended' ? 1 : 0)
  return facts.sort((a, b) => rank(a) - rank(b))
}

/** Members come in no order from the database; these are told first. */
const TOLD_ORDER = ['value', 'rarity', 'last', 'raised', 'computed', 'conditions', 'span', 'since', 'for_s', 'before', 'after', 'seen', 'expected', 'usual', 'one_in', 'aspect', 'window', 'limit', 'side', 'mean_s', 'count', 'events', 'a', 'b', 'gap']

interface Condition {
  quantity: string
  above?: number
  below?: number
  holds: boolean | null
  value?: number
  at?: string
}

/** "可燃气体浓度 > 10 %LEL: 成立 (11.2 %LEL, 12:58:59)" */
function conditionFact(asked: Condition, quantities: Record<string, Quantity>, tongue: Tongue, clock: (at: string) => string): string {
  const { t } = tongue
  const unit = quantities[asked.quantity]?.unit ?? ''
  const said = (value: number): string => measured(rounded(value), unit === '1' ? '' : unit, tongue)
  const bound = `${asked.above === undefined ? '<' : '>'} ${said(asked.above ?? asked.below ?? 0)}`
  const answer = t(asked.holds === null ? 'alert.holds_unknown' : asked.holds ? 'alert.holds' : 'alert.holds_not')
  const newest = asked.value === undefined ? '' : ` (${said(asked.value)}${asked.at ? `, ${clock(asked.at)}` : ''})`
  return `${quantityName(asked.quantity, quantities, tongue.english)} ${bound}: ${answer}${newest}`
}

/** Readings carry more digits than a sensor has; four significant ones are plenty for a reader. */
function rounded(value: number): number {
  return Number(value.toPrecision(6))
}

const TIME = /^\d{4}-\d{2}-\d{2}T/

function plain(name: string, value: unknown, tongue: Tongue & { clock: (at: string) => string; known: (key: string) => boolean }): string {
  const { t, length, number, clock, known } = tongue
  if (typeof value === 'boolean') return t(value ? 'alert.yes' : 'alert.no')
  if (typeof value === 'number') return name.endsWith('_s') ? length(rounded(value)) : number(rounded(value))
  if (typeof value === 'string') {
    if (TIME.test(value)) return clock(value)
    const key = `alert.told.${name}.${value}`
    return known(key) ? t(key) : value
  }
  if (Array.isArray(value)) return value.map((item) => plain(name, item, tongue)).join('\n')
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([inner, held]) => `${known(`alert.fact.${inner}`) ? t(`alert.fact.${inner}`) : inner} ${plain(inner, held, tongue)}`)
      .join(' ')
  }
  return String(value)
}
