/** Pictures the map's symbols use, drawn once on a canvas: severity pins, and devices by state. */
import { SEVERITIES, type Device } from '../contract'
import { OUTLINES } from './outline'
import type { Palette } from './palette'

/** Pixels of a picture for each of its 32 units: sharp up to a wall of 3840 by 2160. */
export const SHARPNESS = 3
const FIELD = 32

export function icons(palette: Palette): [name: string, picture: ImageData][] {
  const pins = SEVERITIES.map((severity): [string, ImageData] => [`pin-${severity}`, pin(OUTLINES[severity], palette.severity[severity], palette)])
  const states: Device['state'][] = ['online', 'silent', 'unknown', 'offline']
  const devices = states.flatMap((state): [string, ImageData][] => [
    [`sensor-${state}`, device('M-8 0a8 8 0 1 0 16 0a8 8 0 1 0-16 0z', state, palette)],
    [`camera-${state}`, device('M-9-8H9V8H-9z', state, palette)],
  ])
  return [...pins, ...devices]
}

function pin(outline: string, colour: string, palette: Palette): ImageData {
  return draw((brush, shape) => {
    brush.fillStyle = colour
    brush.strokeStyle = palette.on_pin
    brush.lineWidth = 2.5
    brush.lineJoin = 'round'
    brush.stroke(shape)
    brush.fill(shape)
  }, outline)
}

/** Online is filled, unknown hatched, offline hollow, silent hollow with a dot: unknown is never green. */
function device(outline: string, state: Device['state'], palette: Palette): ImageData {
  return draw((brush, shape) => {
    brush.fillStyle = state === 'online' ? palette.normal : palette.land
    brush.fill(shape)
    brush.strokeStyle = state === 'online' ? palette.on_pin : palette.unknown
    brush.lineWidth = state === 'offline' || state === 'silent' ? 4 : 2.5
    brush.stroke(shape)
    if (state === 'silent') {
      brush.fillStyle = palette.unknown
      brush.fill(new Path2D('M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z'))
    }
    if (state !== 'unknown') return
    brush.clip(shape)
    brush.lineWidth = 3
    for (let x = -24; x <= 24; x += 7) brush.stroke(new Path2D(`M${x}-12 ${x + 24} 12`))
  }, outline)
}

function draw(paint: (brush: OffscreenCanvasRenderingContext2D, shape: Path2D) => void, outline: string): ImageData {
  const side = FIELD * SHARPNESS
  const brush = new OffscreenCanvas(side, side).getContext('2d')
  if (!brush) throw new Error('no 2d canvas')
  brush.setTransform(SHARPNESS, 0, 0, SHARPNESS, side / 2, side / 2)
  paint(brush, new Path2D(outline))
  return brush.getImageData(0, 0, side, side)
}
