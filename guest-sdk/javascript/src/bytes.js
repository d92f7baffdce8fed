// How the values of JavaScript become bytes, and times whole numbers.

import { utf8 } from '#host'

export const json = {
  name: 'json',
  encode(value) {
    const text = JSON.stringify(value)
    if (text === undefined) throw new TypeError(`${typeof value} is no JSON`)
    return utf8.encode(text)
  },
  decode: bytes => JSON.parse(utf8.decode(bytes)),
}

export const raw = { name: 'raw', encode: bytes => bytes, decode: bytes => bytes }

/** The bytes of a key, a value or a header: null is none, bytes and text are as they are, all else is JSON. */
export function payload(value) {
  if (value === null || value instanceof Uint8Array) return value
  return typeof value === 'string' ? utf8.encode(value) : json.encode(value)
}

/** The interface carries whole numbers only, and the engine cuts others without a word. */
export function milliseconds(at) {
  if (!Number.isSafeInteger(at)) throw new RangeError(`a time is a whole number of milliseconds, and not ${String(at)}`)
  return at
}
