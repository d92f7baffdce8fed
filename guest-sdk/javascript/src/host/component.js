// The host in the sandbox, and what QuickJS lacks of what the authors of JavaScript expect.

import { write } from 'sandbar:plugin/log@0.1.0'
import { getRandomBytes } from 'wasi:random/random@0.2.0'
import { Chance } from '../random.js'
import { inSources } from '../source-map.js'

export * as output from 'sandbar:plugin/output@0.1.0'
export * as state from 'sandbar:plugin/state@0.1.0'
export * as timers from 'sandbar:plugin/timers@0.1.0'

// Through functions of the engine, which take a twentieth of the time of a loop over the characters.
export const utf8 = {
  encode: text => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed())))),
  decode(bytes) {
    const latin1 = atob(bytes.toBase64())
    if (!/[\x80-\xff]/.test(latin1)) return latin1
    try {
      return decodeURIComponent(escape(latin1))
    } catch {
      throw new TypeError('the bytes are not UTF-8')
    }
  },
}

const chance = new Chance(getRandomBytes)
Math.random = () => chance.next()

// While the component is built there is nobody to take a message.
let early = []

export const log = {
  write: (level, message) => (early ? early.push([level, message]) : write(level, message)),
}

/** A call of the plugin begins. */
export function begin() {
  chance.forget()
  early?.forEach(message => write(...message))
  early = undefined
}

/** Where an error comes from. */
export const stack = error => inSources(String(error.stack), globalThis.sandbarSources)

const bytesOf = data => new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength)

globalThis.crypto ??= {
  getRandomValues(array) {
    bytesOf(array).set(getRandomBytes(array.byteLength))
    return array
  },
  randomUUID() {
    const bytes = getRandomBytes(16)
    bytes[6] = (bytes[6] & 0x0f) | 0x40
    bytes[8] = (bytes[8] & 0x3f) | 0x80
    return bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  },
}

globalThis.TextEncoder ??= class TextEncoder {
  encoding = 'utf-8'
  encode = (text = '') => utf8.encode(String(text))
}

globalThis.TextDecoder ??= class TextDecoder {
  encoding = 'utf-8'
  fatal = true
  decode = data => (data === undefined ? '' : utf8.decode(bytesOf(data)))
}

function shown(value) {
  if (value instanceof Error) return `${value}\n${stack(value)}`
  if (typeof value === 'string') return value
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return String(value)
  }
}

const line = level => (...values) => log.write(level, values.map(shown).join(' '))
const [debug, info, warn, error] = ['debug', 'info', 'warn', 'error'].map(line)
globalThis.console ??= { debug, trace: debug, log: info, info, warn, error }
