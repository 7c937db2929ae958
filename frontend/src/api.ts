/** The HTTP door: typed answers, problems as exceptions, one place that knows the addresses. */
import type { FeatureCollection } from 'geojson'
import type {
  Alert,
  AlertWish,
  Camera,
  CatalogueWords,
  Choice,
  City,
  Device,
  Duplicates,
  Entry,
  EntryStep,
  EntryWish,
  FieldDifference,
  FindingPage,
  Forecast,
  ImportAnswer,
  Incident,
  IncidentBeside,
  IncidentSignal,
  IncidentStep,
  Link,
  MapDescription,
  Mode,
  ModeStep,
  ModeWish,
  MoveName,
  Mute,
  MuteWish,
  Page,
  QuarantineReason,
  Receipt,
  Region,
  Rejected,
  RejectedState,
  RejectedWhole,
  Replay,
  ReplayWish,
  Report,
  ReportKinds,
  ReportWish,
  Risk,
  RiskMap,
  RiskMoment,
  RiskOutlook,
  RiskWhy,
  RuleCheck,
  RuleFile,
  RuleMove,
  RuleVersion,
  RoutingAnswer,
  RoutingBook,
  RoutingWish,
  Rulebook,
  Scored,
  Sensor,
  Session,
  ShadowRun,
  Shift,
  ShiftWish,
  StaffMember,
  Standard,
  Step,
  Summary,
  Ticket,
  UnknownSensor,
} from './contract'

/** The server answered with a problem; `detail` says what was wrong and what to do. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly members: Record<string, unknown>,
  ) {
    super(detail || title || `HTTP ${status}`)
  }
}

/** No answer came: the network or the server is away. */
export class Unreachable extends Error {}

const ANSWER_LIMIT_MS = 15_000

async function request<Answer>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await send(method, path, body, headers)
  if (response.status === 204) return undefined as Answer
  const text = await response.text()
  const answer: unknown = text === '' ? {} : parse(text)
  if (response.ok) return answer as Answer
  const members = (typeof answer === 'object' && answer !== null ? answer : {}) as Record<string, unknown>
  throw new Problem(response.status, String(members.title ?? response.statusText), String(members.detail ?? ''), members)
}

async function send(method: string, path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
  const asIs = body instanceof Blob
  const withBody = body === undefined ? {} : { body: asIs ? body : JSON.stringify(body) }
  const sent = { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': asIs ? 'text/csv' : 'application/json' }), ...headers }
  try {
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS)
    return await fetch(`/api/v1${path}`, { method, headers: sent, credentials: 'same-origin', signal, ...withBody })
  } catch (cause) {
    throw new Unreachable('no answer', { cause })
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // A proxy's own error page is not JSON; its status still tells what happened.
    return {}
  }
}

function query(filters: Record<string, string | number | boolean | null | undefined>): string {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined && value !== null && value !== '')
  return given.length === 0 ? '' : `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}

async function everyPage<Item>(path: string, filters: Record<string, string | number>, limit: number): Promise<Item[]> {
  const items: Item[] = []
  let cursor: string | null = null
  do {
    const page: Page<Item> = await request('GET', `${path}${query({ ...filters, cursor })}`)
    items.push(...page.items)
    cursor = page.next
  } while (cursor !== null && items.length < limit)
  return items
}

/** A key that makes sending the same wish twice harmless. `randomUUID` is missing where a page is served without TLS. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

const DEVICES_LIMIT = 20_000
const MUTES_LIMIT = 1_000
/** More people than anybody looks over at once: choose a region then. */
export const STAFF_LIMIT = 500

export const api = {
  city: () => request<City>('GET', '/city'),
  session: () => request<Session>('GET', '/session'),
  login: (username: string, password: string) => request<Session>('POST', '/session', { username, password }),
  logout: () => request<void>('DELETE', '/session'),
  summary: (region: string | null) => request<Summary>('GET', `/summary${query({ region })}`),
  map: () => request<MapDescription>('GET', '/map'),
  region: async (code: string) => (await request<Page<Region>>('GET', `/regions${query({ code })}`)).items[0] ?? null,
  tickets: (filters: { status?: string; open?: boolean; region?: string; cursor?: string; limit?: number }) =>
    request<Page<Ticket>>('GET', `/tickets${query(filters)}`),
  ticket: (id: string) => request<Ticket>('GET', `/tickets/${encodeURIComponent(id)}`),
  steps: async (id: string) => (await request<Page<Step>>('GET', `/tickets/${encodeURIComponent(id)}/steps`)).items,
  move: (id: string, wish: { move: MoveName; version: number } & Choice, key: string) =>
    request<Ticket>('POST', `/tickets/${encodeURIComponent(id)}/moves`, wish, { 'Idempotency-Key': key }),
  cameras: () => everyPage<Camera>('/cameras', { limit: 500 }, DEVICES_LIMIT),
  sensors: () => everyPage<Device>('/sensors', { limit: 500 }, DEVICES_LIMIT),
  links: async () => (await request<Page<Link>>('GET', '/links')).items,
  sensor: async (id: string) => (await request<Page<Sensor>>('GET', `/sensors${query({ id })}`)).items[0] ?? null,
  forecast: (id: string, quantity: string | null) => request<Forecast>('GET', `/sensors/${encodeURIComponent(id)}/forecast${query({ quantity })}`),
  alerts: async (filters: { state?: string; incident?: string; rule?: string; limit?: number }) =>
    (await request<Page<Alert>>('GET', `/alerts${query(filters)}`)).items,
  moveAlert: (id: string, wish: AlertWish, key: string) =>
    request<Alert>('POST', `/alerts/${encodeURIComponent(id)}/moves`, wish, { 'Idempotency-Key': key }),
  mutes: () => everyPage<Mute>('/mutes', { active: 'true', limit: 200 }, MUTES_LIMIT),
  mute: (wish: MuteWish, key: string) => request<Mute>('POST', '/mutes', wish, { 'Idempotency-Key': key }),
  endMute: (id: string, reason: string, key: string) =>
    request<Mute>('POST', `/mutes/${encodeURIComponent(id)}/end`, { reason }, { 'Idempotency-Key': key }),
  regionsBelow: async (parent: string) => (await request<Page<Region>>('GET', `/regions${query({ parent, limit: 500 })}`)).items,
  incident: (id: string) => request<Incident>('GET', `/incidents/${encodeURIComponent(id)}`),
  incidentSignals: async (id: string) => (await request<Page<IncidentSignal>>('GET', `/incidents/${encodeURIComponent(id)}/signals`)).items,
  incidentSteps: async (id: string) => (await request<Page<IncidentStep>>('GET', `/incidents/${encodeURIComponent(id)}/steps`)).items,
  incidentsNearby: async (id: string) => (await request<Page<IncidentBeside>>('GET', `/incidents/${encodeURIComponent(id)}/nearby`)).items,
  splitIncident: (id: string, wish: { signals: string[]; reason: string; version: number }, key: string) =>
    request<Incident>('POST', `/incidents/${encodeURIComponent(id)}/split`, wish, { 'Idempotency-Key': key }),
  joinIncident: (id: string, wish: { other: string; reason: string; version: number }, key: string) =>
    request<Incident>('POST', `/incidents/${encodeURIComponent(id)}/join`, wish, { 'Idempotency-Key': key }),
  setLevels: (incident: Incident, levels: Partial<Pick<Incident, 'warning_level' | 'event_grade' | 'response_level'>>, reason: string) =>
    request<Incident>('PATCH', `/incidents/${encodeURIComponent(incident.id)}`, { ...levels, reason }, { 'If-Match': `"${incident.version}"` }),
  rules: () => request<Rulebook>('GET', '/rules'),
  rule: (id: string) => request<RuleFile>('GET', `/rules/${encodeURIComponent(id)}`),
  checkRule: (text: string) => request<RuleCheck>('POST', '/rules/check', { text }),
  saveRule: (text: string, note: string, key: string) => request<RuleVersion>('POST', '/rules', { text, note }, { 'Idempotency-Key': key }),
  ruleDifference: async (id: string, version: number) =>
    (await request<Page<FieldDifference>>('GET', `/rules/${encodeURIComponent(id)}/versions/${version}/diff`)).items,
  shadowRun: (id: string, version: number) => request<ShadowRun>('GET', `/rules/${encodeURIComponent(id)}/versions/${version}/shadow`),
  moveRule: (id: string, version: number, wish: { move: RuleMove; reason?: string; version?: number }, key: string) =>
    request<RuleVersion>('POST', `/rules/${encodeURIComponent(id)}/versions/${version}/moves`, wish, { 'Idempotency-Key': key }),
  routing: () => request<RoutingBook>('GET', '/routing'),
  tryRouting: (wish: RoutingWish) => request<RoutingAnswer>('POST', '/routing/try', wish),
  staff: (region: string) => everyPage<StaffMember>('/staff', { region, limit: STAFF_LIMIT }, STAFF_LIMIT),
  setSkills: (username: string, skills: readonly string[]) =>
    request<Pick<StaffMember, 'account' | 'skills'>>('PUT', `/staff/${encodeURIComponent(username)}/skills`, { skills }),
  shifts: (region: string, starts_before: string, ends_after: string) =>
    everyPage<Shift>('/rosters', { region, starts_before, ends_after, limit: 500 }, 4 * STAFF_LIMIT),
  addShift: (wish: ShiftWish, key: string) => request<Shift>('POST', '/rosters', wish, { 'Idempotency-Key': key }),
  endShift: (id: string, key: string) => request<Shift>('POST', `/rosters/${encodeURIComponent(id)}/end`, {}, { 'Idempotency-Key': key }),
  entries: (filters: { text?: string; state?: string; owner?: string; profile?: string; in_service?: boolean; cursor?: string | null; limit: number }) =>
    request<Page<Entry>>('GET', `/sensors${query(filters)}`),
  entry: (id: string) => request<Entry>('GET', `/sensors/${encodeURIComponent(id)}`),
  entryHistory: async (id: string) => (await request<Page<EntryStep>>('GET', `/sensors/${encodeURIComponent(id)}/history${query({ limit: 100 })}`)).items,
  changeEntry: (entry: Pick<Entry, 'id' | 'revision'>, wish: EntryWish) =>
    request<Entry>('PATCH', `/sensors/${encodeURIComponent(entry.id)}`, wish, { 'If-Match': `"${entry.revision}"` }),
  catalogue: () => request<CatalogueWords>('GET', '/catalogue'),
  importEntries: (file: Blob, choice: { check: boolean; partial: boolean; name: string }) =>
    request<ImportAnswer>('POST', `/sensors/import${query(choice)}`, file),
  unknownSensors: async () => (await request<Page<UnknownSensor>>('GET', '/unknown-sensors')).items,
  adopt: (id: string, wish: EntryWish, key: string) =>
    request<Entry>('POST', `/unknown-sensors/${encodeURIComponent(id)}/adopt`, wish, { 'Idempotency-Key': key }),
  findings: (cursor: string | null) => request<FindingPage>('GET', `/deadline-findings${query({ cursor, limit: 50 })}`),
  quarantine: (filters: { reason: string | null; state: RejectedState | null; cursor: string | null }) =>
    request<Page<Rejected>>('GET', `/quarantine${query({ ...filters, limit: 50 })}`),
  quarantineReasons: async () => (await request<Page<QuarantineReason>>('GET', '/quarantine/reasons')).items,
  rejected: (id: number) => request<RejectedWhole>('GET', `/quarantine/${id}`),
  askReplay: (wish: ReplayWish, key: string) => request<Replay>('POST', '/quarantine/replay', wish, { 'Idempotency-Key': key }),
  replays: async () => (await request<Page<Replay>>('GET', `/quarantine/replays${query({ limit: 1 })}`)).items,
  reportKinds: () => request<ReportKinds>('GET', '/reports/kinds'),
  reportGround: () => request<FeatureCollection>('GET', '/reports/ground'),
  report: (wish: ReportWish, key: string) => request<Receipt>('POST', '/reports', wish, { 'Idempotency-Key': key }),
  receipt: (receipt: string) => request<Receipt>('GET', `/reports/${encodeURIComponent(receipt)}`),
  myReports: async () => (await request<Page<Report>>('GET', `/reports${query({ mine: true })}`)).items,
  ticketReports: async (id: string) => (await request<Page<Report>>('GET', `/tickets/${encodeURIComponent(id)}/reports`)).items,
  duplicates: (id: string) => request<Duplicates>('GET', `/tickets/${encodeURIComponent(id)}/duplicates`),
  standards: async (small_class: string | null) => (await request<Page<Standard>>('GET', `/standards${query({ small_class })}`)).items,
  modes: async (filters: { active: boolean; limit: number }) => (await request<Page<Mode>>('GET', `/modes${query(filters)}`)).items,
  modeSteps: async (id: string) => (await request<Page<ModeStep>>('GET', `/modes/${encodeURIComponent(id)}/steps`)).items,
  declareMode: (wish: ModeWish, key: string) => request<Mode>('POST', '/modes', wish, { 'Idempotency-Key': key }),
  prolongMode: (id: string, wish: { ends_at: string; reason: string }, key: string) =>
    request<Mode>('POST', `/modes/${encodeURIComponent(id)}/prolong`, wish, { 'Idempotency-Key': key }),
  endMode: (id: string, reason: string, key: string) =>
    request<Mode>('POST', `/modes/${encodeURIComponent(id)}/end`, { reason }, { 'Idempotency-Key': key }),
  risks: async (filters: { domain: Scored; region?: string; tier?: string; limit: number }) => (await request<Page<Risk>>('GET', `/risks${query(filters)}`)).items,
  riskMap: (domain: Scored) => request<RiskMap>('GET', `/risks/map${query({ domain })}`),
  risk: (code: string) => request<RiskWhy>('GET', `/risks/${encodeURIComponent(code)}`),
  riskOutlook: (code: string) => request<RiskOutlook>('GET', `/risks/${encodeURIComponent(code)}/outlook`),
  riskHistory: async (code: string, filters: { domain: Scored; since: string }) =>
    (await request<Page<RiskMoment>>('GET', `/risks/${encodeURIComponent(code)}/history${query({ ...filters, limit: 200 })}`)).items,
}
