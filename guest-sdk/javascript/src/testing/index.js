// A model of the host, for an author's tests under node.

import { payload } from '../bytes.js'
import { Fail, Retry } from '../errors.js'
import { current, utf8 } from '../host/node.js'
import { hex, Kept, unhex } from './kept.js'
import { virtually } from './virtual.js'

/** Which host opened a plugin last: a plugin has one configuration at a time. */
const openedBy = new WeakMap()

const pairs = headers => (Array.isArray(headers) ? headers : Object.entries(headers))

/** Text, if the bytes are that. */
function shown(bytes) {
  try {
    return bytes && utf8.decode(bytes)
  } catch {
    return bytes
  }
}

export class Host {
  log = []
  metrics = {}
  #plugin
  #config
  #description
  #kept
  #imports
  #outputs = []
  #refused = []
  #pushed = 0
  #timestamp = 0

  constructor(plugin, config = {}) {
    this.#plugin = plugin
    this.#config = JSON.stringify(config)
    this.#description = plugin.describe()
    const { timers, metrics, outputs } = this.#description
    this.#kept = new Kept(timers)
    for (const { name, kind } of metrics) if (kind === 'counter') this.metrics[name] = 0
    const emit = ({ output, key, value, timestamp, headers }) => this.#outputs.push({
      output: outputs[output],
      key: shown(key),
      value: shown(value),
      timestamp: timestamp ?? this.#timestamp,
      headers: headers.map(({ name, value }) => [name, shown(value)]),
    })
    const measure = (number, value) => {
      const { name, kind } = metrics[number]
      this.metrics[name] = kind === 'counter' ? this.metrics[name] + value : value
    }
    const { state, timerCalls } = this.#kept
    this.#imports = { state, timers: timerCalls, output: { emit, measure }, log: this.log }
    this.#call(null, 0, 'open', () => {})
  }

  push(record) {
    const { needs, inputs } = this.#description
    const { key = null, value = null, timestamp = this.#kept.clock, headers = [], input = inputs[0] } = record
    const { partition = 0, offset = this.#pushed } = record
    const number = inputs.indexOf(input)
    if (number < 0 && input !== undefined) throw new RangeError(`the plugin has no input "${input}"`)
    const event = {
      ...{ input: Math.max(number, 0), key: payload(key), value: payload(value), timestamp, partition, offset },
      headers: needs.headers ? pairs(headers).map(([name, value]) => ({ name, value: payload(value) })) : [],
    }
    const [at, before] = [this.#pushed++, this.#outputs.length]
    const seed = `${input} ${partition} ${offset} ${timestamp}`
    let { tag, val = [] } = this.#call(event.key, timestamp, seed, () => this.#plugin.process(event))
    if (this.#kept.lacksKey) [tag, val] = ['refuse', ['dead-letter', 'the record has no key']]
    if (tag === 'refuse') {
      this.#takeBack(before)
      this.#refused.push({ record: at, how: val[0], reason: val[1] })
    }
    this.#fireEventTime()
  }

  advance(watermark) {
    this.#kept.watermark = Math.max(this.#kept.watermark, watermark)
    this.#fireEventTime()
  }

  clock(now) {
    this.#kept.clock = now
    while (this.#fireNext('processing-time', now)) this.#fireEventTime()
  }

  takeOutputs() {
    return this.#outputs.splice(0)
  }

  takeRefused() {
    return this.#refused.splice(0)
  }

  state(store, key) {
    const number = this.#description.stores.findIndex(({ name }) => name === store)
    if (number < 0) throw new RangeError(`the plugin has no store "${store}"`)
    const { kind, codec } = this.#description.stores[number]
    const read = bytes => (codec === 'json' ? JSON.parse(utf8.decode(bytes)) : bytes)
    const held = this.#kept.held.get(`${number}/${hex(payload(key))}`)
    if (kind === 'value') return held && read(held)
    if (kind === 'list-of') return (held ?? []).map(read)
    return Object.fromEntries(Array.from(held ?? [], ([name, value]) => [utf8.decode(unhex(name)), read(value)]))
  }

  timers() {
    return this.#kept.sorted().map(({ name, key, at }) => ({ timer: name, key: shown(unhex(key)), at }))
  }

  snapshot() {
    return this.#kept.snapshot()
  }

  restore(snapshot) {
    Object.assign(this.#kept, structuredClone(snapshot))
    openedBy.delete(this.#plugin)
  }

  /** One call of the plugin. If it fails as a whole, nothing of it stays. */
  #call(key, timestamp, seed, run) {
    const before = this.#outputs.length
    this.#timestamp = timestamp
    this.#kept.begin(key)
    current.host = this.#imports
    try {
      if (openedBy.get(this.#plugin) !== this) this.#open()
      return virtually(timestamp, seed, run)
    } catch (error) {
      this.#takeBack(before)
      if (error.tag === undefined) throw error
      throw error.tag === 'retry' ? new Retry(error.val) : new Fail(error.val)
    } finally {
      current.host = undefined
    }
  }

  #takeBack(outputs) {
    this.#kept.takeBack()
    this.#outputs.length = outputs
  }

  #open() {
    try {
      this.#plugin.open(this.#config)
    } catch (refusal) {
      throw new Error(refusal)
    }
    openedBy.set(this.#plugin, this)
  }

  #fireEventTime() {
    while (this.#fireNext('event-time', this.#kept.watermark));
  }

  /** Whether there was one that is due. */
  #fireNext(clock, now) {
    const due = ({ number, at }) => at <= now && this.#description.timers[number].clock === clock
    const timer = this.#kept.sorted().find(due)
    if (!timer) return false
    const { number, name, at } = timer
    const key = unhex(timer.key)
    this.#call(key, at, `${name} ${timer.key} ${at}`, () => {
      this.#imports.timers.clear(number, at)
      this.#plugin.fire(number, key, at)
    })
    return true
  }
}
