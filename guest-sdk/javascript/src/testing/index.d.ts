import type { Headers, Payload, Plugin } from 'sandbar-sdk'

/** A record for the plugin under test. */
export interface Record {
  key?: Payload
  value?: Payload
  /** Default: the host's clock, which stands at 0. */
  timestamp?: number
  headers?: Headers | { [name: string]: Payload }
  /** The name of the input. Default: the first. */
  input?: string
  partition?: number
  /** Default: the number of records before. */
  offset?: number
}

/** What the plugin put out. Bytes that are UTF-8 are shown as text. */
export interface Output {
  output: string
  key: string | Uint8Array | null
  value: string | Uint8Array | null
  timestamp: number
  headers: Array<[name: string, value: string | Uint8Array | null]>
}

export interface Refused {
  /** The number of the record, from 0. */
  record: number
  how: 'skip' | 'dead-letter' | 'fail'
  reason: string
}

/**
 * A model of the host: one call a record or a timer; state and timers are in memory. In a call the date is that of the
 * record or the timer, and `Math.random` gives the same numbers for the same record. A call that fails as a whole
 * throws `Retry` or `Fail`, and leaves nothing.
 */
export class Host {
  /** Opens a plugin with a configuration; its refusal is thrown. Variables of the plugin's module stay as they are. */
  constructor(plugin: Plugin, config?: unknown)
  /** What was written to the log. */
  readonly log: Array<{ level: 'debug' | 'info' | 'warn' | 'error'; message: string }>
  /** The metrics by name: a counter's sum, a gauge's last value. */
  readonly metrics: { [name: string]: number }
  /** Calls the plugin for a record, and for the timers of event time that are due behind it. */
  push(record: Record): void
  /** Moves event time; back it never moves. Timers fire in the order of their time, name and key. */
  advance(watermark: number): void
  /** Moves the host's clock. */
  clock(now: number): void
  /** What was put out since this was asked last. */
  takeOutputs(): Output[]
  /** What was refused since this was asked last. */
  takeRefused(): Refused[]
  /** What a store keeps for a key: a value or undefined, a list's items, a map's entries as an object. */
  state(store: string, key: Payload): any
  /** The timers that are set, in the order in which they fire. */
  timers(): Array<{ timer: string; key: string | Uint8Array; at: number }>
  /** All that is kept. */
  snapshot(): unknown
  /** Goes back to what was kept, with a plugin that is opened anew. */
  restore(snapshot: unknown): void
}
