/** The drawing of 24 hourly counts: bars from a zero line, four hours named, the running hour in the accent colour. */
import { partsAt } from './cityTime'

export interface TrendLook {
  text_px: number
  bar: string
  last: string
  line: string
  quiet: string
  font: string
  now: string
  /** The city's time zone. */
  zone: string | undefined
}

/** Names of the hours the bars stand for, oldest first; only every sixth is written, the last says "now". */
export function hourNames(count: number, end: Date, now: string, zone?: string): string[] {
  return Array.from({ length: count }, (_, index) => {
    const back_h = count - 1 - index
    if (back_h === 0) return now
    if (back_h % 6 !== 0) return ''
    return `${partsAt(end.getTime() - back_h * 3_600_000, zone).hour}:00`
  })
}

export function trendOption(counts: readonly number[], end: Date, look: TrendLook) {
  const last = counts.length - 1
  return {
    animation: false,
    textStyle: { fontFamily: look.font },
    grid: { left: look.text_px * 1.2, right: look.text_px * 1.2, top: look.text_px * 0.3, bottom: look.text_px * 1.5 },
    xAxis: {
      type: 'category' as const,
      data: hourNames(counts.length, end, look.now, look.zone),
      axisTick: { show: false },
      axisLine: { lineStyle: { color: look.line, width: 1 } },
      axisLabel: { color: look.quiet, fontSize: look.text_px, interval: (_: number, name: string) => name !== '', margin: look.text_px * 0.25 },
    },
    yAxis: { type: 'value' as const, min: 0, max: Math.max(4, ...counts), show: false },
    series: [
      {
        type: 'bar' as const,
        data: counts.map((value, index) => ({ value, itemStyle: { color: index === last ? look.last : look.bar } })),
        barCategoryGap: '20%',
      },
    ],
  }
}
