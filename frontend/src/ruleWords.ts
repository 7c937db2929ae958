/** A rule told in words, as an operator would explain it to a colleague. */
import type { Severity } from './contract'
import { type Condition, type Leaf, type Quantity, type Rule, levelUnit } from './rule'

/** What the language brings: `useWording` gives it to pages, a plain i18n to tests. */
export interface Tongue {
  t: (key: string, values?: Record<string, unknown>) => string
  /** A length exactly as stated. */
  length: (length_s: number) => string
  /** A measured length in few words. */
  about: (length_s: number) => string
  number: (value: number) => string
  english: boolean
}

export interface LevelWords {
  severity: Severity
  text: string
  action: string
  warning_level: Severity | null
}

export interface RuleWords {
  levels: LevelWords[]
  /** What ends an alert, what silence means, when and where the rule counts: one short sentence each. */
  rest: { name: 'clear' | 'gap' | 'when' | 'where' | 'damping' | 'sites' | 'order' | 'effective'; text: string }[]
}

export function ruleWords(rule: Rule, quantities: Record<string, Quantity>, tongue: Tongue): RuleWords {
  return { levels: levelsOf(rule, quantities, tongue), rest: restOf(rule, quantities, tongue) }
}

export function quantityName(name: string | undefined, quantities: Record<string, Quantity>, english: boolean): string {
  const found = name ? quantities[name] : undefined
  return (found && (english ? found.title_en : found.title)) || name || ''
}

function levelsOf(rule: Rule, quantities: Record<string, Quantity>, tongue: Tongue): LevelWords[] {
  const { t, english } = tongue
  const action = (words: Rule['action'] | null): string => (words ? (english ? words.en : words['zh-CN']) : '')
  const subject = subjectOf(rule, quantities, tongue)
  const lasting = (for_s: number): string => (for_s > 0 ? t('rule.say.for', { length: tongue.length(for_s) }) : '')
  if (!rule.levels?.length) {
    const for_s = rule.kind === 'camera_event' ? (rule.lasting_s ?? 0) : (rule.for_s ?? 0)
    const text = t('rule.say.holds', { subject }) + lasting(for_s)
    return rule.severity ? [{ severity: rule.severity, text, action: action(rule.action ?? null), warning_level: null }] : []
  }
  const unit = levelUnit(rule, quantities[rule.quantity ?? '']?.unit ?? '')
  return rule.levels.map((level) => {
    const value = rule.kind === 'absence' ? tongue.length(level.at) : rule.kind === 'deviation' ? strayed(level.at, tongue) : measured(level.at, unit, tongue)
    const said =
      rule.kind === 'area'
        ? t('rule.say.holds', { subject })
        : rule.kind === 'absence'
          ? t('rule.say.silent', { length: value })
          : t('rule.say.level', { subject, sign: rule.direction === 'below' ? '≤' : '≥', value })
    const warning_level = level.warning_level ?? null
    return { severity: level.severity, text: said + lasting(level.for_s ?? rule.for_s ?? 0), action: action(level.action ?? null), warning_level }
  })
}

export function measured(value: number, unit: string, tongue: Pick<Tongue, 'number'>): string {
  return unit ? `${tongue.number(value)} ${unit}` : tongue.number(value)
}

/** How far from the usual: a score of rarity. */
function strayed(count: number, { t, number }: Tongue): string {
  return t('rule.say.rarity', { count: number(count) })
}

function subjectOf(rule: Rule, quantities: Record<string, Quantity>, tongue: Tongue): string {
  const { t, length, number, english } = tongue
  const quantity = quantityName(rule.quantity, quantities, english)
  const over = length(rule.over_s ?? 0)
  switch (rule.kind) {
    case 'threshold':
      return quantity
    case 'rate':
      return t('rule.say.rate', { quantity, over, per: length(rule.per_s ?? 3600) })
    case 'window':
      return t('rule.say.window', {
        quantity,
        over,
        statistic: rule.statistic === 'percentile' ? t('rule.statistic.percentile', { rank: number(rule.percentile ?? 0) }) : t(`rule.statistic.${rule.statistic}`),
      })
    case 'exceedance':
      return t(rule.mean_s ? 'rule.say.exceedance_mean' : 'rule.say.exceedance', {
        quantity,
        mean: length(rule.mean_s ?? 0),
        sign: rule.side === 'below' ? '<' : '>',
        limit: measured(rule.limit ?? 0, levelUnit({ ...rule, kind: 'threshold' }, quantities[rule.quantity ?? '']?.unit ?? ''), tongue),
      })
    case 'deviation':
      return t(`rule.say.deviation_${rule.side ?? 'either'}`, { quantity })
    case 'difference': {
      const pair = rule.pairs?.[0]
      const names = rule.pairs?.length === 1 && pair ? `${pair.a} − ${pair.b}` : t('rule.say.pairs', { count: rule.pairs?.length ?? 0 })
      return t('rule.say.difference', { quantity, names })
    }
    case 'area':
      return t('rule.say.area', { area: rule.inside ?? '' })
    case 'combination':
      return t('rule.say.combination', { reach: reachOf(rule, tongue), condition: rule.condition ? conditionWords(rule.condition, quantities, tongue) : '' })
    case 'count': {
      const of = rule.of?.camera_event ?? rule.of?.rule ?? rule.of?.category ?? ''
      const what = rule.of?.camera_event ? 'camera_event' : rule.of?.rule ? 'rule' : 'category'
      return t('rule.say.count', { reach: reachOf(rule, tongue), over, what: t(`rule.say.count_${what}`, { of }) })
    }
    case 'absence':
      return t('rule.say.absence')
    case 'camera_event': {
      const zones = rule.zones?.length ? t('rule.say.zones', { zones: rule.zones.join(t('rule.say.comma')) }) : ''
      return t('rule.say.camera', { event: rule.event ?? '', zones, score: number(rule.min_score ?? 0) })
    }
  }
}

function reachOf(rule: Rule, { t, number }: Tongue): string {
  const radius = rule.reach?.radius_m
  return radius ? t('rule.say.radius', { radius: number(radius) }) : t('rule.say.same_cell')
}

/** "积水深度 > 0.1 m 且（雨量 > 20 mm 或 非 …）": brackets only where the order would be in doubt. */
export function conditionWords(condition: Condition, quantities: Record<string, Quantity>, tongue: Tongue): string {
  const inner = (child: Condition): string => {
    const words = conditionWords(child, quantities, tongue)
    return 'all' in child || 'any' in child ? tongue.t('rule.say.bracket', { words }) : words
  }
  if ('all' in condition) return condition.all.map(inner).join(tongue.t('rule.say.and'))
  if ('any' in condition) return condition.any.map(inner).join(tongue.t('rule.say.or'))
  if ('not' in condition) return tongue.t('rule.say.not', { words: inner(condition.not) })
  return leafWords(condition, quantities, tongue)
}

function leafWords(leaf: Leaf, quantities: Record<string, Quantity>, tongue: Tongue): string {
  const unit = quantities[leaf.quantity]?.unit ?? ''
  const below = leaf.above === null || leaf.above === undefined
  const value = measured((below ? leaf.below : leaf.above) ?? 0, unit === '1' ? '' : unit, tongue)
  return `${quantityName(leaf.quantity, quantities, tongue.english)} ${below ? '<' : '>'} ${value}`
}

function restOf(rule: Rule, quantities: Record<string, Quantity>, tongue: Tongue): RuleWords['rest'] {
  const { t, length, number } = tongue
  const rest: RuleWords['rest'] = []
  const say = (name: RuleWords['rest'][number]['name'], text: string): void => void (text && rest.push({ name, text }))
  const calm_s = rule.clear_for_s ?? 0
  const calm = calm_s > 0 ? t('rule.say.for', { length: length(calm_s) }) : ''
  if (rule.clear !== null && rule.clear !== undefined && rule.kind !== 'area') {
    const value = rule.kind === 'deviation' ? strayed(rule.clear, tongue) : measured(rule.clear, levelUnit(rule, quantities[rule.quantity ?? '']?.unit ?? ''), tongue)
    say('clear', t('rule.say.clear', { sign: rule.direction === 'below' ? '>' : '<', value, calm }))
  } else {
    say('clear', t(`rule.say.clear_${rule.kind === 'absence' ? 'absence' : rule.kind === 'count' ? 'count' : 'over'}`, { calm }))
  }
  if (rule.gap) {
    const after = rule.gap_after_s ? t('rule.say.gap_after', { length: length(rule.gap_after_s) }) : t('rule.say.gap_after_usual')
    say('gap', t(`rule.say.gap_${rule.gap}`, { after }))
  }
  say('when', whenWords(rule, tongue))
  say('where', whereWords(rule, tongue))
  if (rule.damping) {
    const { raises, within_s, settle_s } = rule.damping
    say('damping', t('rule.say.damping', { raises: number(raises), within: length(within_s), settle: length(settle_s) }))
  }
  if (rule.sites?.length) say('sites', t('rule.say.sites', { count: rule.sites.length, names: rule.sites.map((site) => site.sensor).join(t('rule.say.comma')) }))
  if (rule.disorder_s) say('order', t('rule.say.order', { length: length(rule.disorder_s) }))
  if (rule.effective_from || rule.effective_to) {
    say('effective', t('rule.say.effective', { from: rule.effective_from ?? t('rule.say.open_from'), to: rule.effective_to ?? t('rule.say.open_to') }))
  }
  return rest
}

function whenWords(rule: Rule, { t }: Tongue): string {
  const when = rule.when
  if (!when) return ''
  const parts: string[] = []
  if (when.days?.length) parts.push(when.days.map((day) => t(`rule.day.${day}`)).join(t('rule.say.comma')))
  if (when.hours?.length) parts.push(when.hours.map((hours) => hours.replace('-', '–')).join(t('rule.say.comma')))
  if (when.calendar) parts.push(t(`rule.calendar.${when.calendar}`))
  if (when.mode) parts.push(t(`rule.mode.${when.mode}`))
  return parts.length > 0 ? t('rule.say.when', { parts: parts.join(t('rule.say.together')) }) : ''
}

function whereWords(rule: Rule, { t }: Tongue): string {
  const where = rule.where
  if (!where) return ''
  const parts: string[] = []
  const list = (names: string[]): string => names.slice(0, 5).join(t('rule.say.comma')) + (names.length > 5 ? ` … (${names.length})` : '')
  if (where.regions?.length) parts.push(t('rule.say.regions', { names: list(where.regions) }))
  if (where.sensors?.length) parts.push(t('rule.say.sensors', { names: list(where.sensors) }))
  if (where.not_sensors?.length) parts.push(t('rule.say.not_sensors', { names: list(where.not_sensors) }))
  if (where.inside) parts.push(t('rule.say.inside', { area: where.inside }))
  if (where.outside) parts.push(t('rule.say.outside', { area: where.outside }))
  return parts.join(t('rule.say.together'))
}
