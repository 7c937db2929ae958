/** The next six hours of a sensor as a drawing and in words: hours before, the forecast with its interval, the levels of the rules. */
import { clockFace } from './cityTime'
import type { Forecast, ForecastLevel } from './contract'
import { sixHours } from './riskHistory'
import type { Tongue } from './ruleWords'

export interface ForecastLook {
  text_px: number
  line: string
  colour: string
  quiet: string
  font: string
  /** By severity, 1 to 4. */
  severity: Readonly<Record<number, string>>
  /** What a level and the moment of asking are called in the drawing. */
  level: (level: ForecastLevel) => string
  now: string
  /** The city's time zone. */
  zone: string | undefined
}

interface Span {
  min: number
  max: number
}

const HOUR_MS = 3_600_000
const BEFORE_H = 12
const AHEAD_H = 6
const LEAST_TOLD = 0.01
/** A mean stands in the middle of its hour. */
const middle = (at: string): number => Date.parse(at) - HOUR_MS / 2

/** When a level is expected to be reached; empty where nothing can be forecast. `clock` tells a time of day. */
export function reachWords(level: ForecastLevel, now_ms: number, clock: (at_ms: number) => string, tongue: Tongue): string {
  const { reached } = level
  if (reached === null) return ''
  const way = `forecast.${level.direction}`
  const time = (in_s: number): string => clock(now_ms + in_s * 1000)
  if (reached.in_s === 0) return tongue.t(`${way}.now`)
  const probability = reached.probability < LEAST_TOLD ? tongue.t('forecast.hardly') : tongue.t('forecast.about', { share: `${Math.round(reached.probability * 100)}%` })
  if (reached.in_s === null) {
    return reached.earliest_s === null ? tongue.t(`${way}.never`, { probability }) : tongue.t(`${way}.unlikely`, { time: time(reached.earliest_s), probability })
  }
  const from = time(reached.earliest_s ?? 0)
  const when = { time: time(reached.in_s), from }
  return reached.latest_s === null ? tongue.t(`${way}.at_open`, when) : tongue.t(`${way}.at`, { ...when, to: time(reached.latest_s) })
}

/** The line from the newest value on, as [ms, value], and the interval around it as [ms, low, high]. */
export function linesOf(forecast: Forecast): { past: [number, number][]; ahead: [number, number][]; band: [number, number, number][] } {
  const past = forecast.past.map(({ at, value }): [number, number] => [middle(at), value])
  const { latest, items } = forecast
  if (latest === null || items.length === 0) return { past, ahead: [], band: [] }
  const now_ms = Date.parse(forecast.now)
  return {
    past: [...past, [now_ms, latest.value]],
    ahead: [[now_ms, latest.value], ...items.map(({ at, value }): [number, number] => [middle(at), value])],
    band: [[now_ms, latest.value, latest.value], ...items.map(({ at, low, high }): [number, number, number] => [middle(at), low, high])],
  }
}

export function forecastOption(forecast: Forecast, look: ForecastLook) {
  const now_ms = Date.parse(forecast.now)
  const [since_ms, until_ms] = [now_ms - BEFORE_H * HOUR_MS, now_ms + AHEAD_H * HOUR_MS]
  const hours = sixHours(since_ms, until_ms, look.zone)
  const label = { color: look.quiet, fontSize: look.text_px }
  const { past, ahead, band } = linesOf(forecast)
  const drawn = { type: 'line' as const, showSymbol: false, silent: true }
  const levels = forecast.levels.map(({ at }) => at)
  const width = Math.max(2, look.text_px / 7)
  return {
    animation: false,
    textStyle: { fontFamily: look.font },
    grid: { left: look.text_px * 3.2, right: look.text_px * 1.2, top: look.text_px * 1.6, bottom: look.text_px * 1.8 },
    xAxis: {
      type: 'value' as const,
      min: since_ms,
      max: until_ms,
      splitLine: { show: false },
      axisLine: { lineStyle: { color: look.line }, onZero: false },
      axisTick: { customValues: hours },
      axisLabel: { ...label, customValues: hours, formatter: (at_ms: number) => clockFace(at_ms, look.zone, false) },
    },
    yAxis: {
      type: 'value' as const,
      splitNumber: 3,
      // A level is seen even where the values lie far from it; nought where it costs no more than half of the height.
      min: ({ min, max }: Span) => {
        const least = Math.min(min, ...levels)
        return least > 0 && least <= Math.max(max, ...levels) / 2 ? 0 : least
      },
      max: ({ max }: Span) => Math.max(max, ...levels),
      axisLabel: { ...label, showMinLabel: false, showMaxLabel: false, hideOverlap: true },
      splitLine: { lineStyle: { color: look.line, type: 'dashed' as const } },
    },
    series: [
      { ...drawn, stack: 'band', stackStrategy: 'all' as const, lineStyle: { opacity: 0 }, data: band.map(([at_ms, low]) => [at_ms, low]) },
      { ...drawn, stack: 'band', stackStrategy: 'all' as const, lineStyle: { opacity: 0 }, areaStyle: { color: look.colour, opacity: 0.22 }, data: band.map(([at_ms, low, high]) => [at_ms, high - low]) },
      { ...drawn, lineStyle: { color: look.quiet, width }, itemStyle: { color: look.quiet }, showSymbol: past.length < 3, data: past },
      {
        ...drawn,
        lineStyle: { color: look.colour, width, type: 'dashed' as const },
        data: ahead,
        markLine: {
          silent: true,
          symbol: 'none',
          data: [
            { xAxis: now_ms, lineStyle: { color: look.quiet, type: 'solid' as const, width: 1 }, label: { ...label, formatter: look.now, position: 'end' as const } },
            ...forecast.levels.map((level) => ({
              yAxis: level.at,
              lineStyle: { color: look.severity[level.severity] ?? look.quiet, type: 'solid' as const, width: Math.max(1, look.text_px / 12) },
              label: { formatter: look.level(level), color: look.severity[level.severity] ?? look.quiet, fontSize: look.text_px, position: 'insideStartTop' as const },
            })),
          ],
        },
      },
    ],
  }
}
