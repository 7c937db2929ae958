import { describe, expect, it } from 'vitest'
import { CAUSES, MOVES, STATUSES } from '../src/contract'
import { nextWords, toldWords, whyWords } from '../src/ticketWords'
import { step, ticket } from './build'
import { known, tongue } from './tongue'

/** What the system does by itself, as the trail names it. */
const SYSTEM = ['report', 'raise', 'overdue', 'lapse', 'escalate', 'help_lapse', 'grave', 'report_lapse', 'recount', 'absorb', 'release', 'tell']
const HOW = ['opened', 'routed', 'dispatched', 'returned', 'disputed', 'arbitrated', 'handed_up', 'escalated', 'rework', 'reopened', 'verify', 'verified', 'filed', 'split']

describe('words', () => {
  it('are there for every status, move, step, cause and way a ticket comes', () => {
    const keys = [
      ...STATUSES.flatMap((status) => [`status.${status}`, `next.${status}`]),
      ...MOVES.flatMap((move) => [`move.${move}`, `move_done.${move}`]),
      ...SYSTEM.map((move) => `move_done.${move}`),
      ...CAUSES.map((cause) => `cause.${cause}`),
      ...HOW.map((how) => `life.how.${how}`),
      ...['to', 'ticket', 'cause', 'ok', 'score', 'until', 'filing', 'reason'].map((part) => `lacking.${part}`),
    ]
    expect(keys.filter((key) => !known(key))).toEqual([])
  })
})

describe('why a ticket came here', () => {
  it('tells how, from whom, by whom and in which words', () => {
    const why = { how: 'returned', from_name: '第 3 村', by: '王', text: '不属本村' }
    expect(whyWords(ticket({ why }), tongue())).toEqual(['退回，来自第 3 村', '经办 王', '不属本村'])
  })

  it('tells the rule that sent it, in the language of the reader', () => {
    const why = { how: 'routed', rule: 'water', text: '积水归街道', text_en: 'Water is for the township' }
    expect(whyWords(ticket({ why }), tongue('en'))).toEqual(['By rule', 'Water is for the township', 'rule water'])
  })

  it('says something of a ticket that does not tell, and of a way that is not known yet', () => {
    expect(whyWords(ticket(), tongue())).toEqual(['立案时受理'])
    expect(whyWords(ticket({ why: { how: 'beamed' } }), tongue())).toEqual(['beamed'])
  })
})

describe('who is next', () => {
  it('answers a request first', () => {
    const request = { what: 'extension', by: 'w', by_name: '王', reason: '缺料', at: '2026-11-23T10:00:00+08:00' } as const
    expect(nextWords(ticket({ status: 'accepted', responsible: 'COUNTY', request }), tongue())).toBe('由宿城区答复申请')
  })

  it('stands above the holder where the place does not name it, and a status that is not known yet names the holder', () => {
    expect(nextWords(ticket({ status: 'handled', responsible: 'ELSEWHERE' }), tongue())).toBe('由宿迁市的上级核查结案')
    expect(nextWords(ticket({ status: 'frozen' as 'filed' }), tongue())).toBe('宿迁市')
  })
})

describe('what a step told', () => {
  it.each([
    ['return', { cause: 'no_capacity' }, ['无力处置']],
    ['checked', { ok: 'false' }, ['不合格']],
    ['verified', { ok: 'true' }, ['属实']],
    ['grant', { what: 'suspension' }, ['挂账']],
    ['escalate', { rung: 'up', to: '宿城区' }, ['提级至上一级', '宿城区']],
    ['lapse', { stage: 'dispatched' }, ['待签收']],
    ['grave', { grade: '' }, []],
    ['report_up', { report: 'first' }, ['电话初报']],
    ['report_final', { report: 'final' }, ['终报']],
    ['dispatch', { assigned: '值班第一人', assigned_en: 'first on duty' }, ['值班第一人']],
    ['return', { cause: 'moonlight' }, ['moonlight']],
    ['accept', {}, []],
  ] as [string, Record<string, string>, string[]][])('%s %o', (move, told, words) => {
    expect(toldWords(step({ move, told }), tongue())).toEqual(words)
  })
})
