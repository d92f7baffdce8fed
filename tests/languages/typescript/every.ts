// The conformance plugin in TypeScript: config `{"do": …}` says what it does.

import {
  counter, DeadLetter, eventTime, Fail, list, log, map, plugin, processingTime, Retry, session, Skip, tumbling, value,
  windowed,
} from 'sandbar-sdk'
import type { Event, Outputs } from 'sandbar-sdk'

interface Config {
  do: string
  number: number
}

type Does = (event: Event, out: Outputs, config: Config) => void

const count = value<number>()
const seen = list<string>()
const by = map<number>()
const later = eventTime()
const clock = processingTime()
const events = counter('events seen')

const add = (count: number): number => count + 1
const merge = (one: number, other: number): number => one + other
const windows = windowed({ by: tumbling('1s', { allowedLateness: '500ms' }), initial: 0, add })
const sessions = windowed({ by: session('1s'), initial: 0, add, merge })

const REFUSALS: Record<string, new (reason: string) => Error> = {
  'skip': Skip, 'dead-letter': DeadLetter, 'fail': Fail, 'retry': Retry,
}

const text = (event: Event): string | null => (event.value === null ? null : event.text())

function next(): number {
  const n = (count.get() ?? 0) + 1
  count.set(n)
  return n
}

// Deeper than the stack: this is no error that JavaScript could catch.
const deeper = (depth: number): number => deeper(depth + 1) + 1

/** Passes every event, but does something with one whose value is "bad". */
const unlessBad = (bad: () => void): Does => (event, out) => {
  if (text(event) === 'bad') bad()
  out.pass(event)
}

const DO: Record<string, Does> = {
  'echo': (event, out) => out.pass(event),

  'count': (event, out) => out.emit(event.key, next()),

  'list'(event, out) {
    const item = text(event)
    if (item === null) seen.clear()
    else seen.push(item)
    out.emit(event.key, item === null ? 'cleared' : seen.items())
  },

  'map'(event, out) {
    const name = text(event)
    if (name === null) by.clear()
    else if (name.startsWith('-')) by.delete(name.slice(1))
    else by.put(name, (by.get(name) ?? 0) + 1)
    // An object of JavaScript would put keys that look like numbers first.
    const entries = Array.from(by.scan(), ([name, n]) => `${JSON.stringify(name)}:${n}`)
    out.emit(event.key, `{${entries}}`)
  },

  'delete'(event, out) {
    count.delete()
    out.emit(event.key, 'deleted')
  },

  'timer': event => later.set(event.timestamp + 1000),

  'rearm': event => later.set(event.timestamp + 1000),

  'cancel'(event) {
    later.set(event.timestamp + 1000)
    later.set(event.timestamp + 2000)
    later.clear(event.timestamp + 1000)
  },

  'clock-timer': () => clock.set(0),

  'refuse'(event, out) {
    const Refusal = REFUSALS[text(event) ?? '']
    if (Refusal === undefined) return out.pass(event)
    out.emit(event.key, 'never')
    count.set(99)
    throw new Refusal('told to')
  },

  'error': unlessBad(() => {
    throw new Error('no good')
  }),

  'panic': unlessBad(() => deeper(0)),

  'loop': unlessBad(() => {
    for (;;);
  }),

  'memory': unlessBad(() => {
    for (const all: Uint8Array[] = []; ;) all.push(new Uint8Array(1 << 20))
  }),

  'log'(event, out) {
    for (let i = 0; i < 2000; i++) log.info(`line ${i}`)
    out.pass(event)
  },

  'print'(event, out) {
    console.log('hello')
    out.pass(event)
  },

  'clock': (event, out) => out.emit(event.key, Date.now()),

  'random'(event, out) {
    const bytes = crypto.getRandomValues(new Uint8Array(8))
    out.emit(event.key, Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(''))
  },

  // JavaScript has no files of its own, and QuickJS's module for them is not in the sandbox.
  'files'(event, out) {
    const { std } = globalThis as { std?: { open(path: string, mode: string): unknown } }
    out.emit(event.key, std?.open('/etc/passwd', 'r') ? 'yes' : 'no')
  },

  'window'(event, out) {
    if (!windows.add(event)) out.emit(event.key, 'late')
  },

  'session'(event, out) {
    if (!sessions.add(event)) out.emit(event.key, 'late')
  },

  'config': (event, out, config) => out.emit(event.key, config.number),
}

export default plugin({
  name: 'every',
  version: '0.1.0',
  needs: { headers: true, coordinates: true },
  state: { count, seen, by },
  timers: { later, clock },
  metrics: { events },
  windows: { windows, sessions },

  open(config: Config) {
    if (!Object.hasOwn(DO, config.do)) throw new Error(`unknown: ${config.do}`)
    return config
  },

  process(event, out) {
    events.add()
    DO[this.config.do](event, out, this.config)
  },

  fire: {
    later({ key, at }, out) {
      const n = next()
      out.emit(key, `${at} ${n}`)
      if (this.config.do === 'rearm' && n < 3) later.set(at + 500)
    },

    clock({ key, at }, out) {
      out.emit(key, `clock ${at}`)
    },

    windows: ({ key, start, value }, out) => out.emit(key, `${start} ${value}`),

    sessions: ({ key, start, end, value }, out) => out.emit(key, `${start} ${end} ${value}`),
  },
})
