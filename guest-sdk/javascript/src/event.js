// What a plugin is called with, and where it puts its results.

import { output, timers, utf8 } from '#host'
import { milliseconds, payload } from './bytes.js'

class Call {
  keyText() {
    return this.key === null ? null : utf8.decode(this.key)
  }

  get watermark() {
    return timers.watermark()
  }

  get processingTime() {
    return timers.processingTime()
  }
}

export class Event extends Call {
  constructor(raw, inputs) {
    super()
    this.key = raw.key
    this.value = raw.value
    this.timestamp = raw.timestamp
    this.partition = raw.partition
    this.offset = raw.offset
    this.input = inputs[raw.input] ?? ''
    this.headers = raw.headers.map(header => [header.name, header.value])
  }

  text() {
    if (this.value === null) throw new TypeError('the value is null')
    return utf8.decode(this.value)
  }

  json() {
    return JSON.parse(this.text())
  }
}

export class Fired extends Call {
  constructor(timer, key, at) {
    super()
    this.timer = timer
    this.key = key
    this.at = at
  }
}

/** A window that is over. */
export class Window extends Call {
  constructor(key, { start, end, value }) {
    super()
    Object.assign(this, { key, start, end, value })
  }
}

export class Outputs {
  #names
  #timestamp

  /** Without a timestamp of its own an output has this one or, without this one, that of the event or the timer. */
  constructor(names, timestamp) {
    this.#names = names
    this.#timestamp = timestamp
  }

  emit(key, value, { output: name, timestamp = this.#timestamp, headers = [] } = {}) {
    const number = name === undefined ? 0 : this.#names.indexOf(name)
    if (number < 0) throw new RangeError(`the plugin declares no output "${name}"`)
    const pairs = Array.isArray(headers) ? headers : Object.entries(headers)
    output.emit({
      output: number,
      key: payload(key),
      value: payload(value),
      timestamp: timestamp === undefined ? null : milliseconds(timestamp),
      headers: pairs.map(([name, value]) => ({ name, value: payload(value) })),
    })
  }

  // Without a timestamp the host puts the event's, which it knows to the last digit.
  pass({ key, value, headers }, { output } = {}) {
    this.emit(key, value, { output, headers })
  }
}
