// Windows: stretches of event time, each with a value that a fold makes of a key's records.

import { DeadLetter } from '../errors.js'
import { duration } from './duration.js'
import { Timer, ValueStore } from '../state.js'

// A record belongs to no more windows than this.
const MOST = 10_000

function atLeast(least, what, length) {
  const ms = duration(length)
  if (ms < least) throw new RangeError(`${what} is ${least} ms at least, and not ${ms} ms`)
  return ms
}

const late = ({ allowedLateness = 0 } = {}) => atLeast(0, 'the allowed lateness', allowedLateness)

export function hopping(length, hop, options) {
  const size = atLeast(1, 'the size of windows', length)
  const every = atLeast(1, 'what windows hop', hop)
  if (every > size) throw new RangeError(`windows of ${size} ms hop ${every} ms: what lies between would be in none`)
  if (size / every > MOST) throw new RangeError(`a record would be in ${size / every} windows, ${MOST} at most`)
  return { size, every, lateness: late(options) }
}

export const tumbling = (size, options) => hopping(size, size, options)

export const session = (length, options) => ({
  gap: atLeast(1, 'the gap of sessions', length),
  lateness: late(options),
})

/** Event time has passed a window when it reaches the window's last moment. */
export const closedAt = ({ end }) => end - 1

/** The hopping windows of a time, in the order of their ends. */
function around(time, { size, every }) {
  // The remainder of a time before 1970 is negative.
  const last = time - (((time % every) + every) % every)
  const before = Math.floor((size - 1 - (time - last)) / every)
  return Array.from({ length: before + 1 }, (_, number) => {
    const start = last - (before - number) * every
    return { start, end: start + size }
  })
}

function result(value, what) {
  if (value === undefined) throw new TypeError(`the function ${what} of windows returned nothing`)
  return value
}

/**
 * What is kept of a key: its open windows in the order of their ends, and the one timer, which is not later than the
 * next moment at which something becomes of one of them.
 */
export class Windowed {
  #by
  #given
  #initial
  #add
  #merge

  constructor({ by, initial, add, merge, ...options }) {
    this.store = new ValueStore('value', options)
    this.timer = new Timer('event-time')
    this.#given = by
    // A copy for each window: `add` may change what it gets.
    this.#initial = () => this.store.codec.decode(this.store.codec.encode(initial))
    this.#add = add
    this.#merge = merge
  }

  open(config) {
    this.#by = typeof this.#given === 'function' ? this.#given(config) : this.#given
    if (this.#by.gap && !this.#merge) throw new TypeError('sessions need a function merge: two of them can become one')
  }

  add(event) {
    const kept = this.store.get() ?? { timer: null, windows: [] }
    const { timestamp: time, watermark: now } = event
    const { size, gap = size } = this.#by
    if (![time - gap, time + gap].every(Number.isSafeInteger)) {
      throw new DeadLetter(`the record's time, ${time}, is beyond all windows`)
    }
    const windows = this.#by.gap ? this.#join(kept, time, now) : this.#find(kept, time, now)
    for (const window of windows) {
      window.value = result(this.#add(window.value, event), 'add')
      if (closedAt(window) <= now) this.fire(event.key, window)
    }
    if (windows.length > 0) this.#keep(kept, now)
    return windows.length > 0
  }

  /** Event time has come to the moment of the timer. */
  reach({ key, at }) {
    const kept = this.store.get()
    if (kept.timer === at) kept.timer = null
    for (const window of kept.windows) if (closedAt(window) === at) this.fire(key, window)
    kept.windows = kept.windows.filter(window => this.#goneAt(window) > at)
    this.#keep(kept, at)
  }

  #goneAt = window => closedAt(window) + this.#by.lateness

  /** The windows of a time that still take records; those that are not open are opened. */
  #find(kept, time, now) {
    return around(time, this.#by).filter(window => this.#goneAt(window) > now).map(window => {
      const open = kept.windows.find(({ start, end }) => start === window.start && end === window.end)
      if (!open) kept.windows.push(Object.assign(window, { value: this.#initial() }))
      return open ?? window
    })
  }

  /** The sessions that a record touches become one. None: it is too late. */
  #join(kept, time, now) {
    const own = { start: time, end: time + this.#by.gap }
    const touched = kept.windows.filter(({ start, end }) => start <= own.end && end >= own.start)
    const start = Math.min(own.start, ...touched.map(window => window.start))
    const end = Math.max(own.end, ...touched.map(window => window.end))
    if (this.#goneAt({ end }) <= now) return []
    const values = touched.map(window => window.value)
    const merge = (one, other) => result(this.#merge(one, other), 'merge')
    const window = { start, end, value: values.length > 0 ? values.reduce(merge) : this.#initial() }
    kept.windows = [...kept.windows.filter(window => !touched.includes(window)), window]
    return [window]
  }

  #keep(kept, now) {
    if (kept.windows.length === 0) return this.store.delete()
    kept.windows.sort((one, other) => one.end - other.end)
    const moments = kept.windows.map(window => (closedAt(window) > now ? closedAt(window) : this.#goneAt(window)))
    const next = Math.min(...moments)
    if (kept.timer === null || kept.timer > next) {
      if (kept.timer !== null) this.timer.clear(kept.timer)
      this.timer.set(next)
      kept.timer = next
    }
    this.store.set(kept)
  }
}

export const windowed = options => new Windowed(options)
