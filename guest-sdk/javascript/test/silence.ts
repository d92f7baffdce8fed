// Says of each key that nothing has come of it for a while. The type check of this file is a test of the types.

import { counter, DeadLetter, eventTime, gauge, list, log, map, plugin, raw, value } from 'sandbar-sdk'
import { Host } from 'sandbar-sdk/testing'

interface Config {
  after: number
}

const silence = plugin({
  name: 'silence',
  version: '0.1.0',
  outputs: ['out', 'late'],
  state: {
    due: value<number>({ version: 2, readableFrom: 1 }),
    pages: map<{ views: number }>(),
    last: list<string>({ ttl: 60_000 }),
    kept: value({ codec: raw }),
  },
  timers: { quiet: eventTime() },
  metrics: { seen: counter('records seen'), waiting: gauge('milliseconds until the next firing') },

  open(config: Config) {
    if (!(config.after > 0)) throw new Error('after: a number above 0 was expected')
    return config
  },

  process(event, out) {
    const before: number | undefined = this.due.get()
    if (before !== undefined) this.quiet.clear(before)
    const due = event.timestamp + this.config.after
    this.due.set(due)
    this.quiet.set(due)
    this.seen.add()
    this.waiting.set(this.config.after)

    const { page } = event.json<{ page?: string }>()
    if (page === undefined) throw new DeadLetter('no page')
    this.pages.put(page, { views: (this.pages.get(page)?.views ?? 0) + 1 })
    for (const [name, { views }] of this.pages.scan('/shop/')) log.debug(`${name} ${views.toFixed()}`)
    this.last.push(page)
    this.kept.set(event.value ?? new Uint8Array())
    out.emit(event.keyText(), this.last.items(), { output: 'late', headers: { page }, timestamp: due })
    out.pass(event, { output: 'late' })

    // @ts-expect-error: the store holds numbers
    this.due.set('text')
    // @ts-expect-error: there is no such store
    this.none
    // @ts-expect-error: the configuration has no such key
    this.config.before
    // @ts-expect-error: an output has a value, or null
    out.emit(event.key, undefined)
  },

  fire: {
    quiet(fired, out) {
      this.due.delete()
      out.emit(fired.key, 'nothing since')
    },
  },
})

const host = new Host(silence, { after: 10 } satisfies Config)
host.push({ key: 'a', value: { page: '/' }, timestamp: 1 })
host.takeOutputs().map(({ value }) => value)

plugin({
  name: 'wrong',
  version: '0.1.0',
  timers: { quiet: eventTime() },
  process() {},
  // @ts-expect-error: a timer without its function
  fire: {},
})

export default silence
