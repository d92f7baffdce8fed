// What the testing host keeps by key, and the interface's functions on it. What a call changed can be taken back.

export const hex = bytes => Buffer.from(bytes).toString('hex')
export const unhex = hex => new Uint8Array(Buffer.from(hex, 'hex'))

export class Kept {
  /** By store and key: bytes, a list of them, or a map of them by their names in hex. */
  held = new Map()
  /** By the timer's number, key and time. */
  timers = new Map()
  watermark = -(2 ** 63)
  clock = 0
  #key = null
  #undo = []
  #names

  constructor(timers) {
    this.#names = timers.map(timer => timer.name)
  }

  /** A call begins, for a key or none. Whether it asked for state without one is known behind it. */
  begin(key) {
    this.#key = key && hex(key)
    this.#undo = []
    this.lacksKey = false
  }

  takeBack() {
    while (this.#undo.length > 0) this.#undo.pop()()
  }

  /** The timers that are set, in the order in which they fire: by time, name and key. */
  sorted() {
    const order = (a, b) => (a < b ? -1 : Number(a > b))
    return [...this.timers.values()].sort((a, b) => a.at - b.at || order(a.name, b.name) || order(a.key, b.key))
  }

  /** No value: what is there goes. */
  change(map, name, value) {
    const [had, old] = [map.has(name), map.get(name)]
    this.#undo.push(() => (had ? map.set(name, old) : map.delete(name)))
    if (value === undefined) map.delete(name)
    else map.set(name, value)
  }

  /** Without a key nothing is found, and nothing kept. */
  #keyed(nothing, run) {
    return (...given) => {
      if (this.#key !== null) return run(...given) ?? nothing
      this.lacksKey = true
      return nothing
    }
  }

  #found = store => this.held.get(`${store}/${this.#key}`)
  #put = (store, value) => this.change(this.held, `${store}/${this.#key}`, value)

  state = {
    get: this.#keyed(null, this.#found),
    put: this.#keyed(undefined, (store, value) => this.#put(store, value.slice())),
    delete: this.#keyed(undefined, store => this.#put(store)),
    items: this.#keyed([], this.#found),
    append: this.#keyed(undefined, (store, item) => this.#put(store, [...(this.#found(store) ?? []), item.slice()])),
    clear: this.#keyed(undefined, store => this.#put(store)),
    getEntry: this.#keyed(null, (store, name) => this.#found(store)?.get(hex(name))),
    putEntry: this.#keyed(undefined, (store, name, value) => {
      if (!this.#found(store)) this.#put(store, new Map())
      this.change(this.#found(store), hex(name), value.slice())
    }),
    deleteEntry: this.#keyed(undefined, (store, name) => this.change(this.#found(store) ?? new Map(), hex(name))),
    scan: this.#keyed([], (store, prefix, after, limit) => {
      const entries = [...(this.#found(store) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))
      const asked = entries.filter(([name]) => name.startsWith(hex(prefix)) && (!after || name > hex(after)))
      return asked.slice(0, limit).map(([name, value]) => [unhex(name), value])
    }),
  }

  #timer = (number, at, timer) => this.change(this.timers, `${number} ${this.#key} ${at}`, timer)

  timerCalls = {
    set: this.#keyed(undefined, (number, at) =>
      this.#timer(number, at, { number, name: this.#names[number], key: this.#key, at })),
    clear: this.#keyed(undefined, (number, at) => this.#timer(number, at)),
    watermark: () => this.watermark,
    processingTime: () => this.clock,
  }

  snapshot() {
    const { held, timers, watermark, clock } = this
    return structuredClone({ held, timers, watermark, clock })
  }
}
