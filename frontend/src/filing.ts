/** Filing conditions as a desk looks through them. */
import type { Standard } from './contract'

/** Those that hold every word, wherever it stands. */
export function matching(standards: readonly Standard[], words: string): Standard[] {
  const wanted = words.trim().toLocaleLowerCase().split(/\s+/)
  return standards.filter((one) => {
    const text = [one.n, one.small_code, one.small_name, one.big_name, one.condition, one.handling_unit ?? ''].join(' ').toLocaleLowerCase()
    return wanted.every((word) => text.includes(word))
  })
}
