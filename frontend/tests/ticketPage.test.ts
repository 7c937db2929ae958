import { describe, expect, it, vi } from 'vitest'
import { type Component, createSSRApp, computed, ref, shallowRef } from 'vue'
import { createI18n } from 'vue-i18n'
import { renderToString } from 'vue/server-renderer'
import type { Step, Ticket } from '../src/contract'
import type { Conflict, Dossier } from '../src/dossier'
import { en } from '../src/i18n/en'
import { zh } from '../src/i18n/zh-CN'
import { move, step, ticket } from './build'

// What a browser would bring.
vi.stubGlobal('localStorage', { getItem: () => null, setItem: () => undefined })

const { default: TicketDetail } = await import('../src/components/TicketDetail.vue')
const { default: MoveBar } = await import('../src/components/MoveBar.vue')
const { default: Trouble } = await import('../src/components/Trouble.vue')
const { default: TicketRow } = await import('../src/components/TicketRow.vue')

function dossier(of: Ticket, given: { steps?: Step[]; conflict?: Conflict } = {}): Dossier {
  return {
    ticket: computed(() => of),
    moves: computed(() => of.moves ?? []),
    steps: shallowRef<Step[] | null>(given.steps ?? [step()]),
    error: shallowRef(null),
    conflict: shallowRef(given.conflict ?? null),
    busy: ref(false),
    act: async () => true,
    load: async () => undefined,
    look: () => undefined,
  }
}

/** What a reader sees of a component: its text, without tags and runs of blanks. */
async function seen(component: Component, props: Record<string, unknown>, locale = 'zh-CN'): Promise<{ html: string; text: string }> {
  const app = createSSRApp(component, props)
  app.use(createI18n({ legacy: false, locale, messages: { 'zh-CN': zh, en } }))
  const html = await renderToString(app)
  const text = html.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')
  return { html, text }
}

describe('a ticket in detail', () => {
  it('tells why it came, who is next, its clocks and all that is under way', async () => {
    const whole = ticket({
      status: 'accepted',
      responsible: 'COUNTY',
      why: { how: 'dispatched', from_name: '宿迁市', by: '李', text: '尽快处置' },
      granted: { amount: 2, unit: 'working_days' },
      provisional: true,
      overdue_at: '2026-11-23T12:00:00+08:00',
      rung: 1,
      rung_at: '2026-11-23T12:30:00+08:00',
      request: { what: 'extension', by: 'w', by_name: '王', reason: '缺料', at: '2026-11-23T11:00:00+08:00' },
      helpers: [{ region: 'H', name: '供电公司', asked: '断电', asked_at: '2026-11-23T11:00:00+08:00' }],
      returns: 2,
      binding: ticket().holder.region,
      upward: { grade: 2, since: '2026-11-23T11:00:00+08:00', next: 'first', due_at: '2026-11-23T11:15:00+08:00', lapses: 1 },
      merged: ['m1'],
    })
    const { text } = await seen(TicketDetail, { dossier: dossier(whole) })
    for (const words of ['派遣，来自宿迁市', '经办 李', '尽快处置', '由宿城区答复申请', '限 2 个工作日', '节假日安排尚未公布', '起超时', '（第 2 步）', '王 申请延期：缺料', '协办 供电公司：待签收', '已退回 2 次', '不得再退回', '重大事件', '电话初报须在', '已 1 次逾期未报', '并入 1 件']) {
      expect(text).toContain(words)
    }
  })

  it('of a plain ticket has no empty boxes, in English no Chinese words of ours', async () => {
    const { html, text } = await seen(TicketDetail, { dossier: dossier(ticket()) }, 'en')
    expect(html).not.toContain('class="standing"')
    expect(text).toContain('Received when it was opened')
  })

  it('stands what it does not know yet', async () => {
    const strange = ticket({ status: 'frozen' as 'filed', why: { how: 'beamed' }, helpers: [{ region: 'H', name: '甲', asked: '', asked_at: '', state: 'asleep' as 'done' }] })
    const { text } = await seen(TicketDetail, { dossier: dossier(strange, { steps: [step({ move: 'thaw', told: { heat: 'much' } })] }) })
    for (const words of ['frozen', 'beamed', 'asleep', 'thaw']) expect(text).toContain(words)
    expect((await seen(TicketRow, { ticket: strange, seen: 'city' })).text).toContain('frozen')
  })
})

describe('the bar of moves', () => {
  it('has one primary button and puts the others away', async () => {
    const moves = [move('accept'), move('return', { asks: ['cause'] }), move('supervise', { needs_reason: true })]
    const { html } = await seen(MoveBar, { dossier: dossier(ticket({ moves })) })
    expect(html).toContain('data-testid="move-accept"')
    expect(html).toContain('data-testid="more-moves"')
    expect(html).not.toContain('data-testid="move-return"')
  })
})

describe('a move that somebody else overtook', () => {
  it('shows both versions side by side, with who moved last', async () => {
    const mine = ticket({ status: 'dispatched', version: 3 })
    const current = ticket({ status: 'accepted', version: 4, holder: { ...mine.holder, account: 'li', account_name: '李' } })
    const by = (name: string) => ({ account: name, name, tier: 'city' as const })
    const conflict = {
      mine,
      current,
      mine_step: step({ version: 3, move: 'dispatch', by: by('王') }),
      current_step: step({ version: 4, move: 'accept', by: by('李') }),
    }
    const { text, html } = await seen(Trouble, { dossier: dossier(current, { conflict }) })
    for (const words of ['第 3 版', '第 4 版', '待签收', '处置中', '王 派遣', '李 签收', '重新查看']) expect(text).toContain(words)
    expect(html).toContain('data-testid="look-again"')
  })
})
