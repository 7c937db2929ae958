/** The sensors' catalogue as a page shows it: what a form changes, how a change reads, how old a value is. Pure. */
import type { CatalogueWords, Entry, EntryWish, Sharing, Tier, UnknownSensor } from './contract'

/** Tiers that keep the catalogue; the others read it. */
export const CATALOGUERS: readonly Tier[] = ['city', 'county']
/** Entries shown before more are asked for. */
export const AT_ONCE = 100

/** An entry as a form holds it: texts, as people type them. */
export interface EntryDraft {
  name: string
  owner: string
  profile: string
  interval_s: string
  sharing: Sharing
  in_service: boolean
  lng: string
  lat: string
  cell: string
}

const text = (value: number | null): string => (value === null ? '' : String(value))
const number = (value: string): number | null => (value.trim() === '' ? null : Number(value))

export function draftOf(entry: Entry): EntryDraft {
  const { name, owner, profile, sharing, in_service, cell } = entry
  return { name, owner, profile, sharing, in_service, cell, interval_s: String(entry.interval_s), lng: text(entry.lng), lat: text(entry.lat) }
}

/** What the form changes of the entry, and nothing else: what it leaves alone somebody else may be changing. */
export function wishOf(entry: Entry, draft: EntryDraft): EntryWish {
  const wish: EntryWish = {}
  if (draft.name.trim() !== entry.name) wish.name = draft.name.trim()
  if (draft.owner.trim() !== entry.owner) wish.owner = draft.owner.trim()
  if (draft.profile !== entry.profile) wish.profile = draft.profile
  if (draft.sharing !== entry.sharing) wish.sharing = draft.sharing
  if (draft.in_service !== entry.in_service) wish.in_service = draft.in_service
  if (number(draft.interval_s) !== entry.interval_s) wish.interval_s = number(draft.interval_s)
  if (draft.lng.trim() !== text(entry.lng) || draft.lat.trim() !== text(entry.lat)) {
    wish.lng = number(draft.lng)
    wish.lat = number(draft.lat)
  }
  // Of what stands still the position tells the cell.
  if (draft.lng.trim() === '' && draft.cell.trim() !== entry.cell) wish.cell = draft.cell.trim()
  return wish
}

/** A form to adopt a sensor with, begun with what it sent. */
export function draftFrom({ suggestion, id }: UnknownSensor): EntryDraft {
  return {
    name: suggestion.name || id,
    owner: '',
    profile: '',
    interval_s: suggestion.interval_s === undefined ? '' : String(suggestion.interval_s),
    sharing: 'conditional',
    in_service: true,
    lng: text(suggestion.lng),
    lat: text(suggestion.lat),
    cell: '',
  }
}

export function adoption(unknown: UnknownSensor, draft: EntryDraft): EntryWish {
  const moved = draft.lng !== text(unknown.suggestion.lng) || draft.lat !== text(unknown.suggestion.lat)
  return {
    name: draft.name.trim(),
    owner: draft.owner.trim(),
    profile: draft.profile,
    sharing: draft.sharing,
    in_service: draft.in_service,
    ...(draft.interval_s.trim() === '' ? {} : { interval_s: Number(draft.interval_s) }),
    // A position that was put on our map is in our datum; one that was sent keeps its own.
    ...(moved ? { lng: number(draft.lng), lat: number(draft.lat), datum: 'CGCS2000' } : {}),
    ...(draft.lng.trim() === '' && draft.cell.trim() !== '' ? { cell: draft.cell.trim() } : {}),
  }
}

/** Models that say something of what a sensor measures, first those that fit all of it. */
export function fittingModels(words: CatalogueWords | null, quantities: readonly string[]): CatalogueWords['profiles'] {
  const fit = (plausible: object): number => quantities.filter((name) => name in plausible).length
  return [...(words?.profiles ?? [])].sort((one, other) => fit(other.plausible) - fit(one.plausible))
}
