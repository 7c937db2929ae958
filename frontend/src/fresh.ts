/** Something asked of the server while it is on the screen: at once for a new subject, soon after news, and now and then besides. */
import { type WatchSource, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { Problem, Unreachable } from './api'
import { live } from './live'

const EVERY_MS = 15_000
const AFTER_NEWS_MS = 700

/**
 * @param subject  what is asked about; null asks for nothing
 * @param ask  the question; its answer counts only while the subject is still the same
 * @param news  what tells that the answer may be another now
 * @param pace  how long an answer stands without news, and how soon after news it is asked for again
 */
export function useFresh<Answer>(subject: () => string | null, ask: () => Promise<Answer>, news: WatchSource[], { every_ms = EVERY_MS, after_news_ms = AFTER_NEWS_MS } = {}) {
  const answer = shallowRef<Answer | null>(null)
  const failure = shallowRef<Problem | Unreachable | null>(null)
  /** Server time of the answer in ms. */
  const answered_ms = ref<number | null>(null)
  let timer: ReturnType<typeof setTimeout> | undefined
  let due_at = Infinity
  let stopped = false

  async function load(): Promise<void> {
    due_at = Infinity
    const about = subject()
    if (about === null) return
    try {
      const found = await ask()
      if (about !== subject()) return
      answer.value = found
      answered_ms.value = live.now_ms.value
      failure.value = null
    } catch (found) {
      if (!(found instanceof Problem || found instanceof Unreachable)) throw found
      if (about === subject()) failure.value = found
    }
    plan(every_ms)
  }

  function plan(delay_ms: number): void {
    const at = performance.now() + delay_ms
    if (stopped || at >= due_at) return
    clearTimeout(timer)
    due_at = at
    timer = setTimeout(() => void load(), delay_ms)
  }

  watch(news, () => subject() !== null && plan(after_news_ms))
  watch(
    subject,
    () => {
      answer.value = null
      failure.value = null
      plan(0)
    },
    { immediate: true },
  )
  watch(live.linked, (linked) => linked && plan(0))
  onScopeDispose(() => {
    stopped = true
    clearTimeout(timer)
  })
  return { answer, failure, answered_ms }
}
