/** A field's value in a diff: plain words, nested mappings one line each, nothing as braces and quotes. */

export interface FieldTongue {
  absent: string
  number: (value: number) => string
}

export function fieldWords(value: unknown, tongue: FieldTongue): string {
  if (value === null || value === undefined) return tongue.absent
  if (typeof value === 'number') return tongue.number(value)
  if (Array.isArray(value)) return value.length === 0 ? tongue.absent : value.map((item) => fieldWords(item, tongue)).join('\n')
  if (typeof value === 'object') {
    return Object.entries(value)
      .filter(([, held]) => held !== null)
      .map(([name, held]) => `${name}: ${fieldWords(held, tongue).replaceAll('\n', '; ')}`)
      .join(', ')
  }
  return String(value)
}
