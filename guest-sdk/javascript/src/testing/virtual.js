// Time and chance as the sandbox has them: while a call runs, both follow from what the call is for.

import { createHash } from 'node:crypto'
import { Chance } from '../random.js'

/** Runs a function at a time in milliseconds since 1970; the same seed gives the same random numbers. */
export function virtually(now, seed, run) {
  const { Date: RealDate } = globalThis
  const { random } = Math
  let asked = 0
  const bytes = outputLength =>
    Uint8Array.from(createHash('shake256', { outputLength }).update(`${seed} ${asked++}`).digest())
  const chance = new Chance(bytes)
  globalThis.Date = class Date extends RealDate {
    constructor(...given) {
      super(...(given.length > 0 ? given : [now]))
    }

    static now = () => now
  }
  Math.random = () => chance.next()
  try {
    return run()
  } finally {
    globalThis.Date = RealDate
    Math.random = random
  }
}
