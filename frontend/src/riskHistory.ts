/** The drawing of how a risk went: a line of steps from 0 to 100, every sixth hour named by the city's clock. */
import { clockFace, partsAt } from './cityTime'
import { FULL } from './risk'

export interface HistoryLook {
  text_px: number
  line: string
  colour: string
  quiet: string
  font: string
  /** The city's time zone. */
  zone: string | undefined
}

const HOUR_MS = 3_600_000

/** The whole hours 0, 6, 12 and 18 by the city's clock. */
export function sixHours(since_ms: number, now_ms: number, zone: string | undefined): number[] {
  const first = Math.ceil(since_ms / HOUR_MS) * HOUR_MS
  const hours = Array.from({ length: Math.floor((now_ms - first) / HOUR_MS) + 1 }, (_, index) => first + index * HOUR_MS)
  return hours.filter((at_ms) => Number(partsAt(at_ms, zone).hour) % 6 === 0)
}

export function historyOption(line: readonly [at_ms: number, score: number][], since_ms: number, now_ms: number, look: HistoryLook) {
  const hours = sixHours(since_ms, now_ms, look.zone)
  const label = { color: look.quiet, fontSize: look.text_px }
  return {
    animation: false,
    textStyle: { fontFamily: look.font },
    grid: { left: look.text_px * 2.4, right: look.text_px * 1.2, top: look.text_px * 0.8, bottom: look.text_px * 1.8 },
    xAxis: {
      type: 'value' as const,
      min: since_ms,
      max: now_ms,
      splitLine: { show: false },
      axisLine: { lineStyle: { color: look.line } },
      axisTick: { customValues: hours },
      axisLabel: { ...label, customValues: hours, formatter: (at_ms: number) => clockFace(at_ms, look.zone, false) },
    },
    yAxis: { type: 'value' as const, min: 0, max: FULL, interval: FULL / 2, axisLabel: label, splitLine: { lineStyle: { color: look.line, type: 'dashed' as const } } },
    series: [
      {
        type: 'line' as const,
        step: 'end' as const,
        data: line.map(([at_ms, score]) => [at_ms, score]),
        // A single moment is a dot, not nothing.
        showSymbol: line.length < 3,
        symbolSize: look.text_px * 0.4,
        lineStyle: { color: look.colour, width: Math.max(2, look.text_px / 7) },
        itemStyle: { color: look.colour },
        areaStyle: { color: look.colour, opacity: 0.12 },
      },
    ],
  }
}
