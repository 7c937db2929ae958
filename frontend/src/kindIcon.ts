/** A drawing for each thing that people may report, as strokes in a field of 24 by 24. */

const ICONS: Readonly<Record<string, string>> = {
  waterlogging: 'M3 15c2-2 4-2 6 0s4 2 6 0 4-2 6 0M3 20c2-2 4-2 6 0s4 2 6 0 4-2 6 0M12 2.5c2 2.7 3 4 3 5.7a3 3 0 0 1-6 0c0-1.7 1-3 3-5.7z',
  manhole: 'M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0zM8.5 8.5h7M7 12h10M8.5 15.5h7',
  gas: 'M12.5 3c.5 4 4.5 6 4.5 11a5 5 0 0 1-10 0c0-2 1-3.5 2.2-4.5 0 1.7.6 2.5 1.5 3C11.5 9.5 10.5 6.5 12.5 3z',
  water_pipe: 'M3 9h9a6 6 0 0 1 6 6v1h-4.5v-1a1.5 1.5 0 0 0-1.5-1.5H3zM8 9V5M5 5h6M15.8 19v2.5',
  drain: 'M4 5h16v9H4zM8 5v9M12 5v9M16 5v9M5 19c1.8-1.5 3-1.5 4.7 0s3 1.5 4.6 0 3-1.5 4.7 0',
  collapse: 'M2 8h5l2 5 1.5-1.5L12 18l1.5-5 1.5 1 2-6h5M5 21h14',
  road: 'M8 3 3.5 21M16 3l4.5 18M12 3.5v3M11 10l2.5 2-3 2 2.5 2.5M12 19.5V21',
  light: 'M5 21.5V7a3.5 3.5 0 0 1 3.5-3.5H13M3 21.5h4M12.5 3.5h6l1.5 4.5h-9zM13 12l-1 2.5M15.5 12v2.5M18 12l1 2.5',
  signal: 'M8 2.5h8v19H8zM10.2 6.8a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0zM10.2 12a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0zM10.2 17.2a1.8 1.8 0 1 0 3.6 0a1.8 1.8 0 1 0-3.6 0z',
  tree: 'M3 21h18M7 21l3.5-7M10.5 14l-3.8-2 4-2.3-2.2-1.2L16 3l1.5 9-2.2-.9-.3 4.5z',
  cable: 'M6 2.5v19M3 6h6M9 6c4 0 5 3 6 7s2 5.5 4.5 5.5M19.5 18.5l2-1.5M19.5 18.5l1.5 2',
  litter: 'M4.5 7h15M9 7V4h6v3M6.5 7l1 14h9l1-14M10.3 11v6M13.7 11v6',
  parking: 'M4 4h16v16H4zM10 17V8h3.2a2.7 2.7 0 0 1 0 5.4H10',
  fire_lane: 'M9 9.5a3 3 0 0 1 6 0v12H9zM12 6.5V4M12 4l5-1.5M12 4H8.5A3.5 3.5 0 0 0 5 7.5V11M9 14.5h6',
  noise: 'M4 9.5v5h3l5 4V5.5l-5 4zM15.5 9a4.2 4.2 0 0 1 0 6M18.3 6a8.5 8.5 0 0 1 0 12',
  vendor: 'M4.5 11v10h15V11M3 10l2-6.5h14L21 10zM9.2 3.5 8.5 10M14.8 3.5l.7 6.5M9.5 21v-5.5h5V21',
}

const OTHER = 'M3 12a9 9 0 1 0 18 0a9 9 0 1 0-18 0zM12 7.5v5.5M12 16.3v.2'

export function kindIcon(code: string): string {
  return ICONS[code] ?? OTHER
}
