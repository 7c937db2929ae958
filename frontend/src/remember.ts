/** Small choices kept on this device. A browser may refuse storage; then a choice lasts as long as the page. */

const PREFIX = 'command-center.'

export function remember(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value))
  } catch (error) {
    if (!(error instanceof DOMException)) throw error
  }
}

export function recall<Value>(name: string): Value | null {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? 'null') as Value | null
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof SyntaxError)) throw error
    return null
  }
}
