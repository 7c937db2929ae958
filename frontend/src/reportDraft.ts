/** What a person is about to report: what is still missing, and the wish it becomes. */
import type { Channel, ReportWish } from './contract'

export interface Place {
  lng: number
  lat: number
  /** How exact a device says the place is, in metres; null: a person showed it on the map. */
  accuracy_m: number | null
}

export interface ReportDraft {
  kind: string
  words: string
  contact: string
  channel: Channel | ''
  place: Place | null
  done: boolean
  handled: string
}

export type ReportPart = 'kind' | 'channel' | 'words' | 'handled' | 'place' | 'contact'

export const WORDS = { least: 5, most: 1000 } as const
export const CONTACT_MOST = 100
/** A place less exact than this is likely in the wrong street: the person is asked to look. */
export const VAGUE_M = 100

export function emptyReport(): ReportDraft {
  return { kind: '', words: '', contact: '', channel: '', place: null, done: false, handled: '' }
}

export function isEmpty(draft: ReportDraft): boolean {
  return JSON.stringify(draft) === JSON.stringify(emptyReport())
}

/** Signs as the server counts them: one for each character, not for each half of a pair. */
export function lengthOf(words: string): number {
  return [...words.trim()].length
}

/**
 * Everything that is missing or cannot be, in the order of the form. Whether the place lies in the city the server says: the
 * outlines here are too coarse to refuse somebody at the border.
 *
 * @param asksChannel  a desk enters it for somebody
 */
export function faultsOf(draft: ReportDraft, asksChannel: boolean): ReportPart[] {
  const told = (words: string): boolean => lengthOf(words) >= WORDS.least && lengthOf(words) <= WORDS.most
  const faults: [ReportPart, boolean][] = [
    ['kind', draft.kind === ''],
    ['channel', asksChannel && draft.channel === ''],
    ['words', !told(draft.words)],
    ['handled', draft.done && !told(draft.handled)],
    ['place', draft.place === null],
    ['contact', lengthOf(draft.contact) > CONTACT_MOST],
  ]
  return faults.filter(([, wrong]) => wrong).map(([part]) => part)
}

/** What is sent; null while there is no place. */
export function wishOf(draft: ReportDraft): ReportWish | null {
  if (!draft.place) return null
  const wish: ReportWish = { kind: draft.kind, words: draft.words.trim(), lng: rounded(draft.place.lng), lat: rounded(draft.place.lat) }
  if (draft.contact.trim() !== '') wish.contact = draft.contact.trim()
  if (draft.channel !== '') wish.channel = draft.channel
  if (draft.done) wish.handled = draft.handled.trim()
  return wish
}

/** 0.1 m: more digits say nothing. */
function rounded(degrees: number): number {
  return Math.round(degrees * 1e6) / 1e6
}
