/** The shapes that HTTP and Socket.IO speak. Times are RFC 3339 strings, severities 1 (least) to 4. */
import type { Quantity, Rule } from './rule'

export const TIERS = ['city', 'county', 'township', 'village', 'grid'] as const
export type Tier = (typeof TIERS)[number]

export const DOMAINS = ['emergency', 'public_order', 'urban_management', 'traffic'] as const
export type Domain = (typeof DOMAINS)[number]

export const SEVERITIES = [1, 2, 3, 4] as const
export type Severity = (typeof SEVERITIES)[number]

export const STATUSES = [
  'reported', 'verifying', 'void', 'filed', 'dispatched', 'accepted', 'returned', 'arbitrating', 'suspended', 'handled', 'checking', 'closed', 'evaluated', 'merged',
] as const
export type Status = (typeof STATUSES)[number]

export const MOVES = [
  'verify', 'verified', 'file', 'void', 'merge', 'split', 'dispatch', 'arbitrate', 'accept', 'return', 'hand_up', 'finish', 'self_handle', 'check', 'checked', 'rework', 'close',
  'force_close', 'evaluate', 'reopen', 'ask_extension', 'ask_suspension', 'appeal', 'grant', 'refuse', 'resume', 'supervise', 'remind', 'assist', 'help_accept', 'help_done',
  'help_decline', 'report_up', 'report_final',
] as const
export type MoveName = (typeof MOVES)[number]

export type Bounds = [west: number, south: number, east: number, north: number]

export interface Account {
  username: string
  name: string
  tier: Tier
  region: string
  region_name: string
}

export interface City {
  code: string
  name: string
  /** IANA name, such as Asia/Shanghai: times are told by the city's clock, wherever the screen stands. */
  time_zone?: string
}

export interface Session {
  account: Account
  city: City
  /** The wartime operation that holds for the account's region, above it or below it. */
  modes?: Mode[]
}

export interface Summary {
  at: string
  domains: { domain: Domain; open: number; today: number; overdue: number; trend: number[] }[]
  sensors: Presence
  cameras: Presence
  worker: { state: string; beat_at: string | null }
  data_at: string | null
}

export interface Presence {
  online: number
  silent: number
  offline: number
  unknown: number
  total: number
}

export interface MapDescription {
  synthetic: boolean
  bounds: Bounds
  city_bounds: Bounds
  layers: Record<'regions' | 'cells' | 'water', { version: string }>
}

export interface Region {
  code: string
  name: string
  tier: Tier
  parent: string | null
  inferred: boolean
  label: [lng: number, lat: number]
  bounds: Bounds
}

export interface Holder {
  region: string
  name: string
  tier: Tier
  account: string | null
  account_name: string | null
  org?: string | null
  org_name?: string | null
  /** For whom it is meant, before anybody accepted it. */
  assignee?: string | null
  assignee_name?: string | null
}

export interface Source {
  kind: 'sensor' | 'camera' | 'report' | 'place'
  id: string
  name: string
}

export const CAUSES = ['not_ours', 'wrong_place', 'wrong_category', 'no_capacity', 'unclear', 'other'] as const
export type Cause = (typeof CAUSES)[number]

/** What a move asks for beside a reason and a target. */
export type Ask = 'cause' | 'until' | 'ok' | 'score' | 'ticket' | 'filing' | 'severity'

export interface Move {
  move: MoveName
  needs_reason: boolean
  to: { region: string; name: string }[]
  asks?: Ask[]
}

/** What a person chose for a move. Of `merge` `to` is the other ticket. */
export interface Choice {
  to?: string
  reason?: string
  cause?: Cause
  until?: string
  ok?: boolean
  score?: number
  /** Of `file`: number of the filing condition. */
  standard?: number
  /** Of `file`: as reported when it is missing. */
  severity?: Severity
}

/** How a ticket came to its holder. */
export interface TicketWhy {
  how: string
  text?: string
  text_en?: string
  rule?: string
  by?: string
  from_name?: string
}

/** A desk that was asked to help. */
export interface Helper {
  region: string
  name: string
  tier?: Tier
  asked: string
  asked_at: string
  state?: 'asked' | 'accepted' | 'done' | 'declined'
  due_at?: string | null
  answered_at?: string | null
  answer?: string | null
}

/** What the holder asked for and nobody has answered. */
export interface Request {
  what: 'extension' | 'suspension' | 'appeal' | 'appeal_review'
  by: string
  by_name: string
  reason: string
  at: string
  until?: string | null
}

/** The clock of reporting a grave event upwards; `next` null: the final report was given. Grade 1 is the gravest. */
export interface Upward {
  grade: number
  since: string
  next?: 'first' | 'written' | 'follow_up' | null
  due_at?: string | null
  given?: number
  lapses?: number
}

export interface Limit {
  amount: number
  unit: 'continuous' | 'working_hours' | 'working_days' | 'natural_days'
}

/** What a ticket's whole life adds to its place and its holder; what a push of an older server leaves out is missing. */
export interface Standing {
  responsible?: string | null
  limit?: Limit
  granted?: Limit
  amber_at?: string | null
  red_at?: string | null
  /** The holidays of a year that it reaches into are not published: the date may move. */
  provisional?: boolean
  stage_due_at?: string | null
  lapsed_at?: string | null
  rung?: number
  rung_at?: string | null
  overdues?: number
  supervised_at?: string | null
  escalated_to?: string | null
  why?: TicketWhy | null
  small_class?: string | null
  filing?: { n: number; small_code: string; condition: string; close_condition: string; limit_text: string } | null
  /** The answers of the checks before filing and after handling. */
  verified?: boolean | null
  checked?: boolean | null
  returns?: number
  disowned?: string[]
  /** The region that an arbitration gave it to: that desk cannot return it. */
  binding?: string | null
  request?: Request | null
  extensions?: number
  suspensions?: number
  suspended_at?: string | null
  resumes_at?: string | null
  helpers?: Helper[]
  upward?: Upward | null
  appealed?: boolean
  exempt?: boolean
  score?: number | null
  reopened?: number
  merged_into?: string | null
  merged?: string[]
}

export interface Ticket extends Standing {
  id: string
  number: string
  title: string
  title_en: string
  detail?: string | null
  detail_en?: string | null
  status: Status
  tier: Tier
  region: string
  cell: string
  lng: number
  lat: number
  domain: Domain
  category: string
  severity: Severity
  path: { tier: Tier; region: string; name: string }[]
  holder: Holder
  opened_at: string
  due_at: string | null
  accepted_at: string | null
  handled_at: string | null
  closed_at: string | null
  overdue_at: string | null
  version: number
  incident: string | null
  source: Source | null
  /** What the asking account may do now; absent in pushes. */
  moves?: Move[]
}

export interface Step {
  version: number
  move: string
  at: string
  by: { account: string; name: string; tier: Tier } | null
  status: Status
  tier: Tier
  holder: { region: string; name: string }
  reason: string | null
  told?: Record<string, string>
}

export interface Incident {
  id: string
  number: string
  version: number
  status: 'open' | 'closed' | 'merged' | 'reported'
  domain: Domain
  title: string
  title_en: string
  severity: Severity
  lng: number
  lat: number
  opened_at: string
  last_signal_at: string
  /** How many it has. */
  signals: number
  ticket: string
  merged_into: string | null
  /** Three scales of the law, each set by people, none made from our severity: 1 is the gravest. */
  warning_level?: Severity | null
  event_grade?: Severity | null
  response_level?: Severity | null
}

/** An alert or a report of an incident; `metres` from its place. Of a report severity, name and end are not known. */
export interface IncidentSignal {
  kind: 'alert' | 'report'
  id: string
  at: string
  lng: number
  lat: number
  title: string
  title_en: string
  /** The incident it came to by itself or by a person's hand: another one than this was merged into this. */
  came_to: string
  severity: Severity | null
  /** The sensor or camera. */
  name: string | null
  ended_at: string | null
  metres: number
}

/** What became of an incident among others. `by` null: the system. */
export interface IncidentStep {
  version: number
  at: string
  what: 'opened' | 'merged' | 'absorbed' | 'parted' | 'split' | 'kept_apart'
  by: { account: string; name: string } | null
  reason: string | null
  facts: { number?: string; signals?: number; kind?: string; from?: string | string[]; into?: string; to?: string }
}

/** An open incident that may be the same matter. */
export interface IncidentBeside {
  incident: Incident
  metres: number
}

/** ISA-18.2. `suppressed` is by design: inhibited, silenced or under maintenance. */
export const ALERT_STATES = ['raised', 'acknowledged', 'returned', 'normal', 'shelved', 'suppressed', 'out_of_service'] as const
export type AlertState = (typeof ALERT_STATES)[number]

export type AlertMove = 'acknowledge' | 'shelve' | 'unshelve' | 'out_of_service' | 'in_service'

export interface Muted {
  kind: 'silence' | 'maintenance' | 'shelved' | 'out_of_service' | 'inhibited'
  /** The mute, or the alert that inhibits this one. */
  by: string
  until: string | null
  /** Who set it, and why. */
  name: string | null
  reason: string | null
}

/** What was computed and what it needed; which members there are depends on the kind of rule. */
export type Why = Record<string, unknown>

export interface Alert {
  id: string
  version: number
  cell: string
  region: string
  severity: Severity
  ended_at: string | null
  rule: string
  source: { kind: 'sensor' | 'camera' | 'place'; id: string; name: string }
  domain: Domain
  category: string
  title: string
  title_en: string
  quantity: string
  unit: string
  value: number
  threshold: number
  raised_at: string
  state: AlertState
  acknowledged_at: string | null
  acknowledged_by: string | null
  muted: Muted | null
  why: Why | null
  /** The statutory signal whose published number was met: to be compared with what the authority says, never a warning of ours. */
  warning_level: Severity | null
  /** What the asking account may do now; absent in pushes. */
  moves?: AlertMove[]
}

export type MuteKind = 'silence' | 'maintenance' | 'shelve' | 'out_of_service'

export interface AlertWish {
  move: AlertMove
  version: number
  until?: string
  reason?: string
}

/** What keeps alerts quiet, where, until when, by whom and why. */
export interface Mute {
  id: string
  kind: MuteKind
  state: 'to_come' | 'in_force' | 'over'
  region: string
  region_name: string
  domain: Domain | null
  category: string | null
  rule: string | null
  source: string | null
  starts_at: string
  ends_at: string
  author: string
  author_name: string
  reason: string
  ended_at: string | null
  ended_by: string | null
}

export type MuteWish = Pick<Mute, 'region' | 'ends_at' | 'reason'> &
  Partial<Pick<Mute, 'domain' | 'category' | 'rule' | 'source' | 'starts_at'>> & { kind: 'silence' | 'maintenance' }

/** What was last told of a group of alerts, those of one category in one township; the titles name place and number. */
export interface Notice {
  id: string
  version: number
  title: string
  title_en: string
  domain: Domain
  category: string
  severity: Severity
  region: string
  region_name: string
  members: number
  new: number
  kind: 'first' | 'more' | 'repeat' | 'over'
  at: string
}

export interface Device {
  id: string
  name: string
  lng: number
  lat: number
  state: 'online' | 'silent' | 'offline' | 'unknown'
  state_since?: string | null
  version?: number
}

export type Sharing = 'unconditional' | 'conditional' | 'withheld'

/** A sensor as the catalogue has it; without a position it moves. */
export interface Entry extends Omit<Sensor, 'lng' | 'lat' | 'latest'> {
  lng: number | null
  lat: number | null
  county: string
  region: string
  cell: string
  domain: string
  owner: string
  profile: string
  sharing: Sharing
  in_service: boolean
  service_since: string | null
  interval_s: number
  latest: Record<string, { value: number; at: string; received_at: string }>
  last_received_at: string | null
  credential_at: string | null
  revision: number
}

/** What is stated of a sensor; what is missing stays. */
export interface EntryWish {
  name?: string
  domain?: string
  quantities?: string[]
  lng?: number | null
  lat?: number | null
  datum?: string
  cell?: string
  owner?: string
  profile?: string
  interval_s?: number | null
  sharing?: Sharing
  in_service?: boolean
}

export interface EntryStep {
  revision: number
  at: string
  by: { account: string; name: string } | null
  what: 'added' | 'changed' | 'adopted' | 'rehomed'
  source: string
  changes: { field: string; before: unknown; after: unknown }[]
}

export interface EntryFault {
  line?: number
  column: string
  zh: string
  en: string
}

export interface DeviceModel {
  id: string
  title: string
  title_en: string
  interval_s: number | null
  plausible: Record<string, { low: number; high: number; sentinels: number[] }>
}

/** What entries may say. */
export interface CatalogueWords {
  quantities: { name: string; unit: string; title: string; title_en: string }[]
  profiles: DeviceModel[]
  owners: string[]
  domains: string[]
  sharings: Sharing[]
}

export interface ImportAnswer {
  added: number
  changed: number
  unchanged: number
  stored: boolean
  faulty_rows: number
  faults: EntryFault[]
}

/** A sensor that reports and is in no catalogue. */
export interface UnknownSensor {
  id: string
  county: string
  adoptable: boolean
  count: number
  first_at: string
  last_at: string
  values: { quantity: string; value: number; known: boolean }[]
  unread: number
  suggestion: { name: string; domain?: string; quantities: string[]; interval_s?: number; lng: number | null; lat: number | null; datum?: string }
}

/** What is heard of a county as a whole; `id` is its code. */
export interface Link {
  id: string
  name: string
  state: Device['state']
  state_since: string | null
  version: number
  /** Only where it is asked for, not where it is told. */
  sensors?: number
  silent?: number
}

/** A sensor with what it measures and its newest values by quantity. */
export interface Sensor extends Device {
  quantities: { name: string; unit: string; title: string; title_en: string }[]
  latest: Record<string, { value: number; at: string }>
  state_since: string | null
}

/** The mean of the hour that ends at `at`, expected between `low` and `high` in `coverage` of all cases. */
export interface ForecastHour {
  at: string
  horizon_h: number
  value: number
  low: number
  high: number
  zh: string
  en: string
}

/** When a level is reached: seconds from now, by the forecast and by the edges of its interval; null where it is not within it. */
export interface Reached {
  threshold: number
  probability: number
  in_s: number | null
  earliest_s: number | null
  latest_s: number | null
}

/** A level of a threshold rule that counts for the sensor now; `reached` null where nothing can be forecast. */
export interface ForecastLevel {
  rule: string
  title: string
  title_en: string
  severity: Severity
  at: number
  direction: 'above' | 'below'
  reached: Reached | null
}

/** The next six hours of a sensor; `items` is empty where `reason` says why. */
export interface Forecast {
  sensor: string
  quantity: string
  unit: string
  now: string
  rain_gauge: string | null
  latest: { value: number; at: string } | null
  age_s: number | null
  known_hours: number
  coverage: number
  past: { at: string; value: number }[]
  items: ForecastHour[]
  reason: { kind: string; zh: string; en: string } | null
  levels: ForecastLevel[]
}

export interface Camera extends Device {
  direction: number | null
  field_of_view: number | null
}

export interface Page<Item> {
  items: Item[]
  next: string | null
}

export interface LiveEvent {
  cursor: number
  kind: string
  op: 'put' | 'gone'
  id: string
  version: number
  data?: unknown
}

export interface SyncAnswer {
  cursor: number
  snapshot?: { tickets: Ticket[]; incidents: Incident[]; alerts: Alert[]; notices?: Notice[]; modes?: Mode[] }
  events?: LiveEvent[]
}

export interface Pulse {
  at: string
  worker_at: string | null
  data_at: string | null
}

/** A version of a rule that somebody wrote. `revision` counts its steps and is told back with a move. */
export interface VersionHead {
  rule: string
  version: number
  revision: number
  state: 'draft' | 'shadow' | 'published' | 'replaced' | 'withdrawn'
  /** It switches the rule off. */
  retires: boolean
  author: string
  author_name: string
  made_at: string
  note: string
  based_on: number | null
  shadow_from: string | null
  shadow_to: string | null
  published_by: string | null
  published_at: string | null
  starts_on: string | null
}

export type RuleMove = 'shadow' | 'publish' | 'withdraw' | 'retire'

export interface RuleVersion extends VersionHead {
  text: string
  in_force: boolean
  waits: boolean
  /** Each with the reason why this account may not make it; null: it may. */
  moves: { move: RuleMove; refused: string | null }[]
}

export interface RuleStep {
  version: number
  revision: number
  move: RuleMove | 'save' | 'replace'
  at: string
  by: { account: string; name: string }
  state: VersionHead['state']
  reason: string | null
}

export interface Refusal {
  file: string
  line: number
  reason: string
}

export interface RuleInForce extends Rule {
  origin: 'pack' | 'edited'
  open_alerts?: number
}

export interface Rulebook {
  items: RuleInForce[]
  refused: Refusal[]
  pending: VersionHead[]
  retired: VersionHead[]
  quantities: Record<string, Quantity>
}

export interface RuleFile {
  id: string
  in_force: RuleInForce | null
  text: string | null
  packed: { rule: Rule; text: string } | null
  versions: RuleVersion[]
  steps: RuleStep[]
}

export interface RuleProblem {
  line: number
  reason: string
}

export interface RuleCheck {
  ok: boolean
  rule: Rule | null
  problems: RuleProblem[]
}

export interface FieldDifference {
  path: string
  before: unknown
  after: unknown
}

export interface Tally {
  count: number
  per_cell: { cell: string; count: number }[]
  per_day: { day: string; count: number }[]
  alerts: Alert[]
}

export interface ShadowRun {
  since: string
  until: string | null
  shadow: Tally
  in_force: Tally
}

/** One line of the routing table; of `when` everything stated must fit, `to` without a tier leaves it to the severity. */
export interface RoutingRule {
  id: string
  when: {
    domain?: Domain[] | null
    category?: string[] | null
    small_class?: string[] | null
    severity?: [from: Severity, to: Severity] | null
    region?: string[] | null
    mode?: 'peacetime' | 'wartime' | null
  }
  to: { tier?: Tier | null; org?: string | null; skill?: string | null }
  effective_from: string
  effective_to?: string | null
  text: string
  text_en: string
  source: { text: string; confidence: 'found' | 'unverified' }
  in_force: boolean
}

export interface Organisation {
  code: string
  name: string
  name_en: string
  tiers: Tier[]
}

export interface RoutingBook {
  items: RoutingRule[]
  organisations: Organisation[]
  tier_by_severity: Record<string, Tier>
  /** Those that some rule asks for. */
  skills: string[]
  regions: { code: string; name: string }[]
  /** What wartime operation leaves of a handling limit and of the time to accept, 0 to 1. */
  wartime: { handling_share: number; accept_share: number; push: string[] }
}

/** A matter that may not exist: in a cell, or at a place. */
export interface RoutingWish {
  domain: Domain
  category: string
  small_class?: string
  severity: Severity
  cell?: string
  lng?: number
  lat?: number
  day?: string
}

export interface Candidate {
  account: string
  name: string
  region: string
  org: string | null
  skills: string[]
  open_tickets: number
  distance_m: number | null
}

export interface RoutingTrial {
  rule: string
  state: 'chosen' | 'later' | 'unfit'
  unfit: string[]
  text: string
  text_en: string
}

export interface RoutingAnswer {
  cell: string
  cell_name: string
  day: string
  routed: { tier: Tier; region: string; region_name: string; org: string | null; skill: string | null; rule: string | null; text: string; text_en: string }
  organisation: Organisation | null
  chosen: { person: Candidate | null; text: string; text_en: string }
  people: Candidate[]
  rules: RoutingTrial[]
}

/** A shift of an account at the desk of a region, for an organisation there or for the whole desk. */
export interface Shift {
  id: string
  account: string
  name: string
  region: string
  region_name: string
  org: string | null
  state: 'to_come' | 'running' | 'over' | 'withdrawn'
  starts_at: string
  ends_at: string
  made_by: string
}

export interface StaffMember {
  account: string
  name: string
  region: string
  region_name: string
  tier: Tier
  /** The shift that runs. */
  on_duty: Pick<Shift, 'id' | 'region' | 'region_name' | 'org' | 'starts_at' | 'ends_at'> | null
  skills: string[]
  open_tickets: number
  /** When the last position was heard; where it was is not told. */
  position_at: string | null
  /** The asking account may put this person on duty and state the skills. */
  yours: boolean
}

export type ShiftWish = Pick<Shift, 'account' | 'region' | 'starts_at' | 'ends_at'> & { org?: string }

export type RejectedState = 'waiting' | 'queued' | 'replayed'

/** A message that could not be used. `cut`: longer than what is kept of it. */
export interface Rejected {
  id: number
  topic: string
  size: number
  cut: boolean
  reason: string
  detail: string
  county: string | null
  source: string | null
  replay: number | null
  outcome: string | null
  outcome_detail: string | null
  received_at: string
  state: RejectedState
  replayed_at: string | null
  kept_bytes: number
  beginning: string
}

/** `text` is null where the payload is no UTF-8. */
export interface RejectedWhole extends Rejected {
  text: string | null
  hex: string
}

/** How many were rejected for a reason; `hours` of the last 24, oldest first; `dropped` are no longer kept. */
export interface QuarantineReason {
  reason: string
  kept: number
  bytes: number
  waiting: number
  queued: number
  replayed: number
  first_at: string | null
  last_at: string | null
  dropped: number
  dropped_at: string | null
  hours: number[]
}

export type ReplayWish = { ids: number[] } | { reason: string | undefined }

/** Rejected messages that are taken up again; `outcomes` counts them by what became of them. */
export interface Replay {
  id: number
  asked_by: string
  asked_at: string
  wish: Record<string, unknown>
  state: 'waiting' | 'running' | 'done'
  messages: number
  impossible: number
  done: number
  outcomes: Record<string, number>
  ended_at: string | null
}

/** What the auditor found wrong with the deadlines of a ticket: kinds without a right row, and rows too many. */
export interface DeadlineFinding {
  id: number
  ticket: string
  number: string
  title: string
  title_en: string
  status: Status
  closed: boolean
  what: 'rows' | 'no_deadline' | 'nobody'
  missing: string[]
  stray: string[]
  found_at: string
}

export interface FindingPage extends Page<DeadlineFinding> {
  every_s: number
  /** When the scheduler, in which the auditor runs, last said that it lives. */
  scheduler_at: string | null
}

/** How a report came: by the public, by a grid worker, or entered by a desk for whoever told it. */
export type Channel = 'public' | 'worker' | 'hotline' | 'walk_in' | 'superior' | 'department' | 'police' | 'media' | 'desk'

/** One thing that people may report. */
export interface ReportKind {
  code: string
  title: string
  title_en: string
  domain: Domain
  category: string
  small_class: string
  severity: Severity
}

export interface ReportKinds {
  /** Whether it may be reported without an account. */
  anonymous: boolean
  kinds: ReportKind[]
  channels: Channel[]
}

export interface ReportWish {
  kind: string
  words: string
  lng: number
  lat: number
  contact?: string
  channel?: Channel
  /** What was done on the spot. */
  handled?: string
}

/** What a reporter sees of a report; says nothing about people. */
export interface Receipt {
  receipt: string
  number: string
  kind: string
  title: string
  title_en: string
  words: string
  at: string
  /** The township. */
  region_name: string
  lng: number
  lat: number
  status: Status
  merged: boolean
  desk: string
  trail: { at: string; status: Status; desk: string }[]
  answer: string | null
}

/** A report as the desks see it. `status` and `merged_into` stand in lists only. */
export interface Report {
  id: string
  channel: Channel
  kind: string
  title: string
  title_en: string
  words: string
  contact: string | null
  account: string | null
  reporter_name: string | null
  at: string
  lng: number
  lat: number
  region: string
  ticket: string
  number?: string
  status?: Status
  merged_into?: string | null
}

/** A ticket that may be the same matter; `minutes` between their beginnings. */
export interface Duplicate {
  ticket: Ticket
  metres: number
  minutes: number
  same: 'small_class' | 'category'
}

export interface Duplicates {
  near_m: number
  within_h: number
  items: Duplicate[]
}

/** A filing condition; `n` is the number that `file` takes. */
export interface Standard {
  n: number
  big_code: string
  big_name: string
  small_code: string
  small_name: string
  condition: string
  close_condition: string
  limit_text: string
  handling_unit: string | null
}

/** Wartime operation of some domains of a region and all below it, for a time. */
export interface Mode {
  id: string
  mode: 'wartime'
  state: 'in_force' | 'over'
  region: string
  region_name: string
  domains: Domain[]
  starts_at: string
  ends_at: string
  by: string
  by_name: string
  /** The tier of who declared it: nobody below it ends it. */
  tier: Tier
  reason: string
  ended_at: string | null
  /** Null where it ran out by itself. */
  ended_by: string | null
  ended_name: string | null
  ended_reason: string | null
  version: number
}

/** One line of a declaration's trail; `ends_at` is the end from then on. */
export interface ModeStep {
  version: number
  move: 'declared' | 'prolonged' | 'ended' | 'ran_out'
  at: string
  ends_at: string
  by: string | null
  by_name: string | null
  reason: string | null
}

export interface ModeWish {
  region: string
  domains: Domain[]
  ends_at: string
  reason: string
}

export const SCORED = ['overall', ...DOMAINS] as const
export type Scored = (typeof SCORED)[number]

/** The score of a cell or region, 0 to 100. */
export interface Risk {
  code: string
  name: string
  tier: Tier
  region: string | null
  /** The names of the regions that it lies in, the county first. */
  above: string[]
  domain: Scored
  score: number
  at: string
  version: number
}

/** What a score is made of; the points of all lines add up to it. */
export interface RiskLine {
  of: 'hazard' | 'exposure' | 'vulnerability' | 'highest' | 'further'
  kind: string
  zh: string
  en: string
  points: number
  /** An alert, a sensor or a cell, by `kind`. */
  source?: string
  value?: number
}

export interface RiskScore {
  domain: Scored
  score: number
  at: string | null
  version: number
  why: RiskLine[]
}

export interface RiskWhy {
  code: string
  name: string
  tier: Tier
  region: string | null
  above: string[]
  scores: RiskScore[]
}

export interface RiskMap {
  at: string | null
  domain: Scored
  /** By cell; one that is not named has none. */
  cells: Record<string, number>
}

export interface RiskMoment {
  at: string
  score: number
}

/** A cell's risk over all domains at an hour ahead; `cause` is the hazard that weighs most. */
export interface RiskHour {
  at: string
  horizon_h: number
  score: number
  cause: RiskLine | null
  why: RiskLine[]
}

/** `age_s`: of the oldest newest reading that a forecast goes by; null where nothing is forecast. */
export interface RiskOutlook {
  code: string
  now: string
  items: RiskHour[]
  highest: RiskHour | null
  age_s: number | null
  not_forecast: { sensor: string; name: string; quantity: string; reason: { kind: string; zh: string; en: string } }[]
}

/** What the log tells of a region whose risk moved, with its worst cells. */
export interface RiskNews {
  version?: number
  code: string
  name: string
  tier: Tier
  at: string
  scores: Record<Scored, number>
  top: { cell: string; name: string; score: number }[]
}
