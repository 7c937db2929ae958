/** Rejected messages: what of them can be shown and taken up again. Pure. */
import type { QuarantineReason, Rejected, Replay } from './contract'

/** A reason's row of bars: hours oldest first, each as a share of the fullest hour of all reasons. */
export function bars(reason: QuarantineReason, all: readonly QuarantineReason[]): number[] {
  const fullest = Math.max(1, ...all.flatMap((one) => one.hours))
  return reason.hours.map((count) => count / fullest)
}

/** Share of all that was rejected, kept or dropped since. */
export function share(reason: QuarantineReason, all: readonly QuarantineReason[]): number {
  const most = Math.max(1, ...all.map((one) => one.kept + one.dropped))
  return (reason.kept + reason.dropped) / most
}

/** Whether taking it up again can bring anything; what is queued waits already, what is stored is stored. */
export function replayable(message: Rejected): boolean {
  if (message.cut || message.reason === 'retained' || message.state === 'queued') return false
  return message.state === 'waiting' || ['rejected', 'partly', 'not_stored'].includes(message.outcome ?? '')
}

/** Done share of a replay, 1 when there was nothing to do. */
export function progress(replay: Replay): number {
  return replay.messages === 0 ? 1 : Math.min(1, replay.done / replay.messages)
}

/** Bytes as rows of sixteen: offset, hexadecimal, what of it is readable. */
export function hexRows(hex: string, most = 256): { at: string; bytes: string; text: string }[] {
  const rows = []
  for (let begin = 0; begin < Math.min(hex.length, most * 32); begin += 32) {
    const bytes = hex.slice(begin, begin + 32).match(/../g) ?? []
    const text = bytes.map((byte) => parseInt(byte, 16)).map((code) => (code >= 32 && code < 127 ? String.fromCharCode(code) : '·'))
    rows.push({ at: (begin / 2).toString(16).padStart(5, '0'), bytes: bytes.join(' '), text: text.join('') })
  }
  return rows
}

/** JSON laid out for reading; anything else as it is. */
export function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
