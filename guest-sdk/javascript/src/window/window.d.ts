import type { Duration } from './duration.js'
import type { Call, Event } from '../index.js'

/** When windows begin and end. */
export interface Windows {
  /** Milliseconds for which a window takes records after event time has passed it. */
  readonly lateness: number
}

export interface WindowsOptions {
  /** For so long a window takes records after event time has passed it, and fires again for each. Default: 0. */
  allowedLateness?: Duration
}

/** Windows one behind the other, each of this size, which begin at its multiples since 1970. */
export function tumbling(size: Duration, options?: WindowsOptions): Windows
/** Windows of this size, a new one every so often: they overlap. */
export function hopping(size: Duration, every: Duration, options?: WindowsOptions): Windows
/** Windows of records between any two of which, in the order of their times, there is this gap at most. */
export function session(gap: Duration, options?: WindowsOptions): Windows

export interface WindowedOptions<A, C> {
  /** Which windows: `tumbling`, `hopping` or `session`, or what says so of the configuration. */
  by: Windows | ((config: C) => Windows)
  /** The value of a window without records. */
  initial: A
  /** The value with one more record. */
  add(value: A, event: Event): A
  /** The value of two sessions that become one, the earlier one first. Only sessions need it. */
  merge?(one: A, other: A): A
  /** What the stored values mean: raise it when their shape changes. Default: 1. */
  version?: number
  /** The oldest version that this plugin reads as well. Default: `version`. */
  readableFrom?: number
}

/** The windows of each key: a store and a timer of event time. `C` is the configuration that they go by. */
export interface Windowed<A, C = any> {
  /** Adds a record to its windows. False: it is too late for all of them. */
  add(event: Event): boolean
  /** Only for the types. */
  readonly [FOLDS]?: (value: A, config: C) => A
}

declare const FOLDS: unique symbol

export function windowed<A, C = any>(options: WindowedOptions<A, C>): Windowed<A, C>

/** A window that is over, or one that is over and took a late record. An output has its last moment as its time. */
export interface Window<A> extends Call {
  readonly key: Uint8Array
  /** Its first moment, in milliseconds since 1970. */
  readonly start: number
  /** The moment behind its last one. Of a session: `gap` behind its last record. */
  readonly end: number
  /** What `add` made of its records. */
  readonly value: A
}
