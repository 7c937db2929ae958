/** What a reporter follows a report by: typed by hand as people type, told in words for people, not for officials. */
import type { Status } from './contract'

const SIGNS = 20
const GROUP = 4
const ALPHABET = /^[0-9A-HJKMNP-TV-Z]+$/
/** Signs that the alphabet leaves out because people misread them. */
const MISREAD: Readonly<Record<string, string>> = { O: '0', I: '1', L: '1' }

/** A receipt as it is written, however it was typed: lower case, blanks, missing dashes; null when it cannot be one. */
export function receiptFrom(typed: string): string | null {
  const signs = typed
    .normalize('NFKC')
    .replace(/[\s\p{Dash}]/gu, '')
    .toUpperCase()
    .replace(/[OIL]/g, (sign) => MISREAD[sign] ?? sign)
  if (signs.length !== SIGNS || !ALPHABET.test(signs)) return null
  return (signs.match(new RegExp(`.{${GROUP}}`, 'g')) ?? []).join('-')
}

/** How far a matter is, as its reporter looks at it. */
export type Progress = 'waiting' | 'working' | 'done' | 'declined'

const PROGRESS: Partial<Record<string, Progress>> = {
  reported: 'waiting', verifying: 'waiting', closed: 'done', evaluated: 'done', void: 'declined',
}

export function progressOf(status: Status): Progress {
  return PROGRESS[status] ?? 'working'
}
