// Stores, timers and metrics: what is declared is what is used. `plugin` gives each its name and number.

import { output, state, timers, utf8 } from '#host'
import { json, milliseconds } from './bytes.js'

class Store {
  constructor(kind, { codec = json, version = 1, readableFrom = version, ttl = 0, refreshOnRead = false } = {}) {
    this.codec = codec
    this.declared = { kind, codec: codec.name, schemaVersion: version, readableFrom, ttl, refreshOnRead }
  }
}

export class ValueStore extends Store {
  get() {
    const bytes = state.get(this.number)
    return bytes === null ? undefined : this.codec.decode(bytes)
  }

  set(value) {
    state.put(this.number, this.codec.encode(value))
  }

  delete() {
    state.delete(this.number)
  }
}

class ListStore extends Store {
  items() {
    return state.items(this.number).map(item => this.codec.decode(item))
  }

  push(item) {
    state.append(this.number, this.codec.encode(item))
  }

  clear() {
    state.clear(this.number)
  }
}

class MapStore extends Store {
  get(key) {
    const bytes = state.getEntry(this.number, utf8.encode(key))
    return bytes === null ? undefined : this.codec.decode(bytes)
  }

  put(key, value) {
    state.putEntry(this.number, utf8.encode(key), this.codec.encode(value))
  }

  delete(key) {
    state.deleteEntry(this.number, utf8.encode(key))
  }

  *scan(prefix = '') {
    const start = utf8.encode(prefix)
    let page = state.scan(this.number, start, null, 1000)
    while (page.length > 0) {
      for (const [key, value] of page) yield [utf8.decode(key), this.codec.decode(value)]
      page = state.scan(this.number, start, page.at(-1)[0], 1000)
    }
  }

  clear() {
    state.clear(this.number)
  }
}

export class Timer {
  constructor(clock) {
    this.declared = { clock }
  }

  set(at) {
    timers.set(this.number, milliseconds(at))
  }

  clear(at) {
    timers.clear(this.number, milliseconds(at))
  }
}

class Metric {
  constructor(kind, help) {
    this.declared = { kind, help }
  }
}

class Counter extends Metric {
  add(amount = 1) {
    output.measure(this.number, amount)
  }
}

class Gauge extends Metric {
  set(value) {
    output.measure(this.number, value)
  }
}

export const value = options => new ValueStore('value', options)
export const list = options => new ListStore('list-of', options)
export const map = options => new MapStore('map-of', options)
export const eventTime = () => new Timer('event-time')
export const processingTime = () => new Timer('processing-time')
export const counter = help => new Counter('counter', help)
export const gauge = help => new Gauge('gauge', help)
