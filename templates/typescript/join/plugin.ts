// Joins records of two inputs that have the same key and are near in time. A pair comes out at once; a record is kept
// for as long as a partner can come.

import { duration, eventTime, map, plugin } from 'sandbar-sdk'

interface Config { kind: 'inner'; within: { before?: string; after?: string } }

const within = {
  type: 'object',
  properties: { before: { type: 'string' }, after: { type: 'string' } },
  additionalProperties: false,
}

export default plugin({
  name: '{{name}}',
  version: '0.1.0',
  inputs: ['left', 'right'],
  outputs: ['out', 'late'],
  needs: { keepsKey: true },
  configSchema: {
    type: 'object',
    properties: { kind: { const: 'inner' }, within },
    required: ['kind', 'within'],
    additionalProperties: false,
  },

  // The values of each moment, in the order in which they came.
  state: { left: map<unknown[]>(), right: map<unknown[]>() },
  timers: { join: eventTime() },

  open(config: Config) {
    const [before, after] = [duration(config.within.before ?? 0), duration(config.within.after ?? 0)]
    if (before + after < 0) throw new Error(`before and after together are ${before + after} ms, and 0 at least`)
    return { before, after }
  },

  process(event, out) {
    const { timestamp: time, watermark } = event
    const { before, after } = this.config
    const isLeft = event.input === 'left'
    const [own, others] = isLeft ? [this.left, this.right] : [this.right, this.left]
    const [back, on] = isLeft ? [before, after] : [after, before]

    const item = event.json()
    const kept = own.get(String(time)) ?? []
    if (time <= watermark) return out.pass(event, { output: 'late' })

    const moments = Array.from(others.scan(), ([name, partners]) => [Number(name), partners] as const)
    const near = moments.filter(([at]) => time - back <= at && at <= time + on).sort(([one], [other]) => one - other)
    for (const [at, partners] of near) {
      for (const partner of partners) {
        const pair = isLeft ? { left: item, right: partner } : { left: partner, right: item }
        out.emit(event.key, pair, { timestamp: Math.max(time, at) })
      }
    }

    if (time + on > watermark) {
      own.put(String(time), [...kept, item])
      this.join.set(time + on)
    }
  },

  fire: {
    // Nobody's partner any more: left records of the moment `after` before, right ones of the moment `before` before.
    join({ at }) {
      this.left.delete(String(at - this.config.after))
      this.right.delete(String(at - this.config.before))
    },
  },
})
