/** A ticket's standing in words: why it came, who is next, what a step told beside its reason. */
import type { Step, Ticket } from './contract'
import type { Tongue } from './ruleWords'
import { answererName, nextName } from './ticket'

/** What the server names by a code; one that these pages do not know yet is shown as it is. */
function said(tongue: Tongue, group: string, code: string): string {
  const key = `${group}.${code}`
  const found = tongue.t(key)
  return found === key ? code : found
}

/** Why a ticket came to its holder: how, from whom, by whom, and the words or the rule that sent it. */
export function whyWords(ticket: Ticket, tongue: Tongue): string[] {
  const why = ticket.why
  if (!why) return [said(tongue, 'life.how', 'opened')]
  const how = said(tongue, 'life.how', why.how)
  const text = (tongue.english ? why.text_en : '') || why.text
  return [
    why.from_name ? tongue.t('life.sent_by', { how, from: why.from_name }) : how,
    ...(why.by ? [tongue.t('life.by', { name: why.by })] : []),
    ...(text ? [text] : []),
    ...(why.rule ? [tongue.t('life.rule', { rule: why.rule })] : []),
  ]
}

/** Who has to do what next. */
export function nextWords(ticket: Ticket, tongue: Tongue): string {
  const above = tongue.t('life.above', { name: ticket.holder.name })
  if (ticket.request) return tongue.t('next.request', { name: answererName(ticket) ?? above })
  const name = nextName(ticket) ?? above
  const key = `next.${ticket.status}`
  const found = tongue.t(key, { name })
  return found === key ? name : found
}

const TOLD: Readonly<Record<string, string>> = { cause: 'cause', what: 'life.what', report: 'life.report', rung: 'life.rung_does', stage: 'status' }
const PLAIN: readonly string[] = ['helper', 'to', 'ticket']

/** What a step told beside its reason, one short phrase each; what these pages do not know is left to the trail's reader of the log. */
export function toldWords(step: Step, tongue: Tongue): string[] {
  const told = step.told ?? {}
  const phrases = Object.entries(told).flatMap(([name, value]) => {
    if (value === '') return []
    if (name === 'ok') return [said(tongue, value === 'true' ? 'life.ok_yes' : 'life.ok_no', step.move)]
    if (name === 'grade') return [said(tongue, 'life.grade', value)]
    const group = TOLD[name]
    if (group) return [said(tongue, group, value)]
    return PLAIN.includes(name) ? [value] : []
  })
  const assigned = (tongue.english ? told.assigned_en : '') || told.assigned
  return assigned ? [...phrases, assigned] : phrases
}
