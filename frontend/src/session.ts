/** Who is logged in on this page. */
import { computed, shallowRef } from 'vue'
import { Problem, Unreachable, api } from './api'
import type { City, Session, Tier } from './contract'
import { recall, remember } from './remember'

const session = shallowRef<Session | null>(null)
/** True once the server was asked who this is. */
let asked = false

export const account = computed(() => session.value?.account ?? null)
export const city = shallowRef<City | null>(recall<City>('city'))

export const HOME: Record<Tier, string> = {
  city: '/wall',
  county: '/county',
  township: '/county',
  village: '/county',
  grid: '/worker',
}

export async function whoAmI(): Promise<Session | null> {
  if (!asked) {
    try {
      take(await api.session())
    } catch (error) {
      if (!(error instanceof Problem)) throw error
    }
    asked = true
  }
  return session.value
}

export async function login(username: string, password: string): Promise<Session> {
  const answer = await api.login(username, password)
  take(answer)
  return answer
}

export async function logout(): Promise<void> {
  try {
    await api.logout()
  } finally {
    forget()
  }
}

/** The server no longer knows this session. */
export function forget(): void {
  session.value = null
}

function take(answer: Session): void {
  session.value = answer
  asked = true
  showCity(answer.city)
}

/** The login page names the city before anybody is known; the last answer stands in while the server is away. */
export async function whichCity(): Promise<void> {
  try {
    showCity(await api.city())
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error
  }
}

function showCity(value: City): void {
  city.value = value
  remember('city', value)
}
