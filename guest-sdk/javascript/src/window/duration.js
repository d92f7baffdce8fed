// Lengths of time as a configuration writes them.

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
// Longer than the time that there are timestamps for.
const LONGEST = 1e15

/** Milliseconds, of a text such as "10s" or of milliseconds. */
export function duration(length) {
  const [, number, unit] = /^(-?\d+)(ms|s|m|h|d)$/.exec(length) ?? []
  const ms = typeof length === 'number' ? length : number * UNITS[unit]
  if (Number.isSafeInteger(ms) && Math.abs(ms) <= LONGEST) return ms
  const wanted = 'a whole number and one of ms, s, m, h and d, such as "10s"'
  throw new RangeError(`${JSON.stringify(length)} is no duration: it wants ${wanted}`)
}
