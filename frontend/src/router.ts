import { createRouter, createWebHistory } from 'vue-router'
import { Unreachable } from './api'
import { TIERS, type Tier } from './contract'
import { HOME, whoAmI } from './session'

declare module 'vue-router' {
  interface RouteMeta {
    /** Tiers that this page is for; absent where no account is needed. */
    tiers?: readonly Tier[]
    /** For everybody, known or not: nobody is asked who they are. */
    open?: boolean
  }
}

const DESKS: readonly Tier[] = ['city', 'county', 'township', 'village']

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/login', component: () => import('./pages/LoginPage.vue') },
    { path: '/wall', component: () => import('./pages/WallPage.vue'), meta: { tiers: DESKS } },
    { path: '/county', component: () => import('./pages/CountyPage.vue'), meta: { tiers: DESKS } },
    { path: '/worker', component: () => import('./pages/WorkerPage.vue'), meta: { tiers: ['grid'] } },
    { path: '/report', component: () => import('./pages/ReportPage.vue'), meta: { open: true } },
    { path: '/report/:receipt', component: () => import('./pages/ReceiptPage.vue'), meta: { open: true } },
    // Everybody may come; who may not change rules is told who may.
    { path: '/admin', component: () => import('./pages/AdminPage.vue'), meta: { tiers: TIERS } },
    { path: '/:rest(.*)*', redirect: '/login' },
  ],
})

router.beforeEach(async (to) => {
  if (to.meta.open) return true
  const session = await ask()
  if (!session) return to.path === '/login' ? true : { path: '/login', query: to.path === '/' ? {} : { next: to.path } }
  const home = HOME[session.account.tier]
  if (to.path === '/login') return home
  return to.meta.tiers?.includes(session.account.tier) ? true : home
})

/** With the server away the login page says so, instead of a blank screen. */
async function ask() {
  try {
    return await whoAmI()
  } catch (failure) {
    if (failure instanceof Unreachable) return null
    throw failure
  }
}
