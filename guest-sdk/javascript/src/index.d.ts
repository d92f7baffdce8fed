import type { Window, Windowed } from './window/window.js'

export { duration } from './window/duration.js'
export type { Duration } from './window/duration.js'
export type { Window, Windowed, WindowedOptions, Windows, WindowsOptions } from './window/window.js'
export { hopping, session, tumbling, windowed } from './window/window.js'

/** What a key, a value or a header can be: null, bytes, text, or anything else that JSON can say. */
export type Payload = Uint8Array | string | number | boolean | object | null

/** Headers in their order: a name may come again. */
export type Headers = ReadonlyArray<readonly [name: string, value: Payload]>

/** How the values of a store become bytes. */
export interface Codec<T> {
  /** Stands in the plugin's description. The host knows "json", and shows such values to people. */
  readonly name: string
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** JSON in UTF-8: what a store has unless it says otherwise. */
export const json: Codec<any>

/** Bytes as they are. */
export const raw: Codec<Uint8Array>

export interface StoreOptions<T> {
  codec?: Codec<T>
  /** What the stored bytes mean: raise it when the shape of your values changes. Default: 1. */
  version?: number
  /** The oldest version that this plugin reads as well. Default: `version`. */
  readableFrom?: number
  /** Milliseconds of event time after the last write until an entry is gone. Default: 0, never. */
  ttl?: number
  /** Reading an entry makes it live longer too. */
  refreshOnRead?: boolean
}

/** One value for each key. */
export interface ValueStore<T> {
  get(): T | undefined
  set(value: T): void
  delete(): void
}

/** A list for each key. */
export interface ListStore<T> {
  /** In the order in which they were pushed. */
  items(): T[]
  push(item: T): void
  clear(): void
}

/** Entries for each key, under names of their own. */
export interface MapStore<T> {
  get(name: string): T | undefined
  put(name: string, value: T): void
  delete(name: string): void
  /** The entries whose names begin with a prefix, in the order of the names' bytes. They are read as you go. */
  scan(prefix?: string): IterableIterator<[name: string, value: T]>
  clear(): void
}

/** A timer of the key. It may be set to many times at once; each is a firing of its own. */
export interface Timer {
  /** In milliseconds since 1970. Setting it twice to one time is setting it once. */
  set(at: number): void
  clear(at: number): void
}

/** A metric that is a sum. */
export interface Counter {
  /** Adds an amount. Default: 1. What a refused record counted stays. */
  add(amount?: number): void
}

/** A metric that has its last value. */
export interface Gauge {
  set(value: number): void
}

export function value<T = any>(options?: StoreOptions<T>): ValueStore<T>
export function list<T = any>(options?: StoreOptions<T>): ListStore<T>
export function map<T = any>(options?: StoreOptions<T>): MapStore<T>
/** A timer that fires when event time reaches it. */
export function eventTime(): Timer
/** A timer that fires by the host's clock. */
export function processingTime(): Timer
export function counter(help: string): Counter
export function gauge(help: string): Gauge

/** What the plugin is called for. */
export interface Call {
  readonly key: Uint8Array | null
  /** The key as text; an error if it is not UTF-8. */
  keyText(): string | null
  /** Event time: no older record is expected. Before the first one, and in a plugin without timers: below all times. */
  readonly watermark: number
  /** The host's clock, in milliseconds since 1970. */
  readonly processingTime: number
}

/** A record. Times and offsets are numbers: beyond 2^53 they lose their last digits. */
export interface Event extends Call {
  readonly value: Uint8Array | null
  /** Event time, in milliseconds since 1970. */
  readonly timestamp: number
  /** The name of the input; empty if the plugin names none. */
  readonly input: string
  /** Where it lies in Kafka. */
  readonly partition: number
  readonly offset: number
  /** Empty if the plugin says that it does not need `headers`. */
  readonly headers: ReadonlyArray<readonly [name: string, value: Uint8Array | null]>
  /** The value as text; an error if it is null or not UTF-8. */
  text(): string
  /** The value as JSON; an error if it is none. */
  json<T = any>(): T
}

/** A timer that fired. Its key is that for which it was set. */
export interface Fired extends Call {
  readonly key: Uint8Array
  readonly timer: string
  /** The time to which it was set. */
  readonly at: number
}

export interface EmitOptions {
  /** The name of an output. Default: the first. */
  output?: string
  /** In milliseconds since 1970. Default: that of the event or of the timer, or the last moment of the window. */
  timestamp?: number
  headers?: Headers | Record<string, Payload>
}

export interface Outputs {
  emit(key: Payload, value: Payload, options?: EmitOptions): void
  /** Puts an event out as it is: key, value, timestamp and headers. */
  pass(event: Event, options?: { output?: string }): void
}

/** What `this` is in the author's functions: what was declared, by its name, and the configuration. */
export type This<S, T, M, W, C> = Readonly<S & T & M & W> & { readonly config: C }

type AnyWindowed = Record<string, Windowed<any, any>>

/** A function for each timer and for each of the windows. */
type Fire<T, W, Self> = {
  [Name in keyof T | keyof W]: Name extends keyof W
    ? W[Name] extends Windowed<infer A, any> ? (this: Self, window: Window<A>, out: Outputs) => void : never
    : (this: Self, fired: Fired, out: Outputs) => void
}

export interface Definition<S, T, M, W extends AnyWindowed, C> {
  name: string
  version: string
  /** Names of the inputs, if there are several. */
  inputs?: readonly string[]
  /** Default: one, "out". */
  outputs?: readonly string[]
  /** Stores by name: `value()`, `list()` or `map()`. */
  state?: S
  /** Timers by name: `eventTime()` or `processingTime()`. */
  timers?: T
  /** Metrics by name: `counter(help)` or `gauge(help)`. */
  metrics?: M
  /** Windows by name: `windowed`. Each is a store and a timer of that name as well. */
  windows?: W & { [Name in keyof W]: Windowed<any, C> }
  /**
   * The JSON schema of the configuration: the host checks it, and shows it. Default: a plugin with `open` takes
   * whatever that takes, one without it no configuration.
   */
  configSchema?: object | string
  needs?: {
    /** Default: true. Without them `pass` loses them. */
    headers?: boolean
    /** Says that the plugin reads partitions and offsets. Default: false. */
    coordinates?: boolean
    /** A promise: outputs have the key of their event, so that a plugin behind may keep state by it. */
    keepsKey?: boolean
  }
  /** Checks the pipeline's configuration, an empty object if there is none. What it returns is `this.config`. */
  open?(config: any): C
  process(this: This<S, T, M, W, C>, event: Event, out: Outputs): void
  /** A function for each timer and for each of the windows, by the name. */
  fire?: Fire<NoInfer<T>, NoInfer<W>, This<S, T, M, W, C>>
}

/** The functions that the host calls; `sandbar-build` exports them, and `sandbar-sdk/testing` calls them in a test. */
export interface Plugin {
  describe(): object
  open(config: string): void
  process(event: object): object
  fire(timer: number, key: Uint8Array, at: number): void
}

/** Makes a plugin; a module exports it as its default. */
export function plugin<
  S extends Record<string, ValueStore<any> | ListStore<any> | MapStore<any>> = {},
  T extends Record<string, Timer> = {},
  M extends Record<string, Counter | Gauge> = {},
  W extends AnyWindowed = {},
  C = unknown,
>(definition: Definition<S, T, M, W, C>): Plugin

/** Where in JSON documents a value stands, such as /user/tags/0 (RFC 6901). */
export interface Pointer {
  /** The value there; undefined if there is none. */
  find(document: unknown): unknown
}

/** Reads a pointer. A text that is none is an error. */
export function pointer(text: string): Pointer

/** Thrown in `process`: the record is left out, and counted. */
export class Skip extends Error {
  constructor(reason: string)
}

/** Thrown in `process`: the record goes to the dead letters, as it does for every other error. */
export class DeadLetter extends Error {
  constructor(reason: string)
}

/** Thrown: the pipeline stops. */
export class Fail extends Error {
  constructor(reason: string)
}

/** Thrown: what the plugin depends on is not there. The same call comes again, after a pause. */
export class Retry extends Error {
  constructor(reason: string)
}

/** The plugin's log; `console` writes to it too. Too much of it is dropped, and counted. */
export const log: Record<'debug' | 'info' | 'warn' | 'error', (message: string) => void>

/** Text and its bytes. */
export const utf8: {
  encode(text: string): Uint8Array
  /** An error if the bytes are not UTF-8. */
  decode(bytes: Uint8Array): string
}
