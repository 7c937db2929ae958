/** The rulebook as the rules page shows it: asked again after every change and now and then besides, for others change it too. */
import { onScopeDispose, shallowRef } from 'vue'
import { Problem, Unreachable, api } from './api'
import type { RuleFile, Rulebook } from './contract'

const EVERY_MS = 15_000

export function useRulebook() {
  const book = shallowRef<Rulebook | null>(null)
  const file = shallowRef<RuleFile | null>(null)
  const failure = shallowRef<Problem | Unreachable | null>(null)
  let opened: string | null = null
  let timer: ReturnType<typeof setTimeout> | undefined

  async function load(): Promise<void> {
    clearTimeout(timer)
    try {
      book.value = await api.rules()
      failure.value = null
    } catch (found) {
      failure.value = known(found)
    }
    clearTimeout(timer)
    timer = setTimeout(() => void load(), EVERY_MS)
  }

  async function open(id: string | null): Promise<void> {
    if (id !== opened) file.value = null
    opened = id
    if (id === null) return
    try {
      const found = await api.rule(id)
      if (opened === id) file.value = found
    } catch (found) {
      if (opened === id) failure.value = known(found)
    }
  }

  onScopeDispose(() => clearTimeout(timer))
  return { book, file, failure, load, open }
}

function known(failure: unknown): Problem | Unreachable {
  if (failure instanceof Problem || failure instanceof Unreachable) return failure
  throw failure
}
