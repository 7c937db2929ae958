/** One ticket opened for reading and acting: the ticket with its allowed moves, its trail, and what went wrong last. */
import { type Ref, computed, ref, shallowRef, watch } from 'vue'
import { Problem, Unreachable, api, newKey } from './api'
import type { Choice, Move, Step, Ticket } from './contract'
import { live, mergeTicket } from './live'

/** Two versions of a ticket: what a person acted on and what the server holds, each with the step that made it, where known. */
export interface Conflict {
  mine: Ticket
  current: Ticket
  mine_step: Step | null
  current_step: Step | null
}

export function useDossier(id: Ref<string | null>) {
  const answered = shallowRef<Ticket | null>(null)
  const steps = shallowRef<Step[] | null>(null)
  const error = shallowRef<Problem | Unreachable | null>(null)
  const conflict = shallowRef<Conflict | null>(null)
  const busy = ref(false)
  /** A wish keeps its key until the server answered it, so that pressing again after a lost answer moves the ticket once. */
  let wish = { about: '', key: '' }

  const pushed = computed(() => (id.value ? (live.shelves.ticket.value.get(id.value) ?? null) : null))
  const ticket = computed(() => {
    const known = answered.value?.id === id.value ? answered.value : null
    if (!known || (pushed.value && pushed.value.version > known.version)) return pushed.value
    return known
  })
  /** Moves belong to the version they were answered with; an older answer's moves are not offered. */
  const moves = computed<Move[]>(() =>
    answered.value && answered.value.id === id.value && answered.value.version === ticket.value?.version ? (answered.value.moves ?? []) : [],
  )

  async function load(): Promise<void> {
    const asked = id.value
    if (!asked) return
    try {
      const [loaded, trail] = await Promise.all([api.ticket(asked), api.steps(asked)])
      if (asked !== id.value) return
      answered.value = loaded
      steps.value = trail
      error.value = null
      mergeTicket(loaded)
    } catch (failure) {
      // Away is told by the banner, and the link's return asks again.
      if (asked === id.value && !(failure instanceof Unreachable)) error.value = known(failure)
    }
  }

  async function act(move: Move, choice: Choice): Promise<boolean> {
    const mine = ticket.value
    if (!mine || busy.value) return false
    const mine_step = stepOf(mine)
    const body = { move: move.move, version: mine.version, ...choice }
    const about = JSON.stringify([mine.id, body])
    if (wish.about !== about) wish = { about, key: newKey() }
    busy.value = true
    error.value = null
    conflict.value = null
    try {
      const moved = await api.move(mine.id, body, wish.key)
      answered.value = moved
      mergeTicket(moved)
      void load()
      return true
    } catch (failure) {
      await explain(mine, mine_step, known(failure))
      return false
    } finally {
      busy.value = false
    }
  }

  function stepOf(version: Ticket): Step | null {
    return steps.value?.find((step) => step.version === version.version) ?? null
  }

  /** The newest version was looked at: both sides are put away. */
  function look(): void {
    conflict.value = null
    void load()
  }

  async function explain(mine: Ticket, mine_step: Step | null, failure: Problem | Unreachable): Promise<void> {
    if (failure instanceof Problem && failure.status === 409 && failure.members.current) {
      await load()
      const told = failure.members.current as Ticket
      const current = ticket.value && ticket.value.version >= told.version ? ticket.value : told
      conflict.value = { mine, current, mine_step, current_step: stepOf(current) }
      return
    }
    error.value = failure
  }

  watch(
    id,
    () => {
      answered.value = null
      steps.value = null
      error.value = null
      conflict.value = null
      void load()
    },
    { immediate: true },
  )
  watch(
    () => pushed.value?.version,
    (version) => {
      if (version !== undefined && answered.value?.id === id.value && version > answered.value.version) void load()
    },
  )

  watch(live.linked, (linked) => {
    if (linked) void load()
  })

  return { ticket, moves, steps, error, conflict, busy, act, load, look }
}

export type Dossier = ReturnType<typeof useDossier>

function known(failure: unknown): Problem | Unreachable {
  if (failure instanceof Problem || failure instanceof Unreachable) return failure
  throw failure
}
