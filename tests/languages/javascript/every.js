// The conformance plugin: config `{"do": …}` says what it does.

import {
  counter, DeadLetter, eventTime, Fail, list, log, map, plugin, processingTime, Retry, session, Skip, tumbling, value,
  windowed,
} from 'sandbar-sdk'

const REFUSALS = { 'skip': Skip, 'dead-letter': DeadLetter, 'fail': Fail, 'retry': Retry }

const is = (event, text) => event.value !== null && event.text() === text

function next(count) {
  const n = (count.get() ?? 0) + 1
  count.set(n)
  return n
}

const add = count => count + 1
const merge = (one, other) => one + other

// Deeper than the stack: this is no error that JavaScript could catch.
const deeper = depth => deeper(depth + 1) + 1

const DO = {
  'echo': (_, event, out) => out.pass(event),

  'count': ({ count }, event, out) => out.emit(event.key, next(count)),

  'list'({ seen }, event, out) {
    if (event.value === null) {
      seen.clear()
      return out.emit(event.key, 'cleared')
    }
    seen.push(event.text())
    out.emit(event.key, seen.items())
  },

  'map'({ by }, event, out) {
    const text = event.value === null ? null : event.text()
    if (text === null) by.clear()
    else if (text.startsWith('-')) by.delete(text.slice(1))
    else by.put(text, (by.get(text) ?? 0) + 1)
    // An object of JavaScript would put keys that look like numbers first.
    const entries = Array.from(by.scan(), ([key, n]) => `${JSON.stringify(key)}:${n}`)
    out.emit(event.key, `{${entries}}`)
  },

  'delete'({ count }, event, out) {
    count.delete()
    out.emit(event.key, 'deleted')
  },

  'timer': ({ later }, event) => later.set(event.timestamp + 1000),

  'rearm': ({ later }, event) => later.set(event.timestamp + 1000),

  'cancel'({ later }, event) {
    later.set(event.timestamp + 1000)
    later.set(event.timestamp + 2000)
    later.clear(event.timestamp + 1000)
  },

  'clock-timer': ({ clock }) => clock.set(0),

  'refuse'({ count }, event, out) {
    const Refusal = event.value === null ? undefined : REFUSALS[event.text()]
    if (Refusal === undefined) return out.pass(event)
    out.emit(event.key, 'never')
    count.set(99)
    throw new Refusal('told to')
  },

  'error'(_, event, out) {
    if (is(event, 'bad')) throw new Error('no good')
    out.pass(event)
  },

  'panic'(_, event, out) {
    if (is(event, 'bad')) deeper(0)
    out.pass(event)
  },

  'loop'(_, event, out) {
    while (is(event, 'bad'));
    out.pass(event)
  },

  'memory'(_, event, out) {
    const all = []
    while (is(event, 'bad')) all.push(new Uint8Array(1 << 20))
    out.pass(event)
  },

  'log'(_, event, out) {
    for (let i = 0; i < 2000; i++) log.info(`line ${i}`)
    out.pass(event)
  },

  'print'(_, event, out) {
    console.log('hello')
    out.pass(event)
  },

  'clock': (_, event, out) => out.emit(event.key, Date.now()),

  'random'(_, event, out) {
    const bytes = crypto.getRandomValues(new Uint8Array(8))
    out.emit(event.key, Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(''))
  },

  // JavaScript has no files of its own, and QuickJS's module for them is not in the sandbox.
  'files': (_, event, out) => out.emit(event.key, globalThis.std?.open('/etc/passwd', 'r') ? 'yes' : 'no'),

  'window'({ windows }, event, out) {
    if (!windows.add(event)) out.emit(event.key, 'late')
  },

  'session'({ sessions }, event, out) {
    if (!sessions.add(event)) out.emit(event.key, 'late')
  },

  'config': ({ config }, event, out) => out.emit(event.key, config.number),
}

export default plugin({
  name: 'every',
  version: '0.1.0',
  needs: { headers: true, coordinates: true },
  state: { count: value(), seen: list(), by: map() },
  timers: { later: eventTime(), clock: processingTime() },
  metrics: { events: counter('events seen') },
  windows: {
    windows: windowed({ by: tumbling('1s', { allowedLateness: '500ms' }), initial: 0, add }),
    sessions: windowed({ by: session('1s'), initial: 0, add, merge }),
  },

  open(config) {
    if (!Object.hasOwn(DO, config.do)) throw new Error(`unknown: ${config.do}`)
    return config
  },

  process(event, out) {
    this.events.add()
    DO[this.config.do](this, event, out)
  },

  fire: {
    later({ key, at }, out) {
      const n = next(this.count)
      out.emit(key, `${at} ${n}`)
      if (this.config.do === 'rearm' && n < 3) this.later.set(at + 500)
    },

    clock({ key, at }, out) {
      out.emit(key, `clock ${at}`)
    },

    windows: ({ key, start, value }, out) => out.emit(key, `${start} ${value}`),

    sessions: ({ key, start, end, value }, out) => out.emit(key, `${start} ${end} ${value}`),
  },
})
