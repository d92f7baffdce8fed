// Counts in windows, and collects in sessions. The type check of this file is a test of the types.

import { plugin, pointer, session, tumbling, windowed } from 'sandbar-sdk'

interface Config {
  size: string
  allowedLateness?: string
}

const visits = windowed<string[]>({
  by: session('30s'),
  initial: [],
  add: (pages, event) => [...pages, event.text()],
  merge: (one, other) => [...one, ...other],
})

export default plugin({
  name: 'windows',
  version: '0.1.0',
  outputs: ['out', 'late'],
  windows: {
    // The type of the configuration is that of what `open` returns.
    counts: windowed({
      by: ({ size, allowedLateness }) => tumbling(size, { allowedLateness }),
      initial: 0,
      add: count => count + 1,
    }),
    visits,
  },

  open: (config: Config) => config,

  process(event, out) {
    const isInTime: boolean = this.counts.add(event) && visits.add(event)
    if (!isInTime) out.pass(event, { output: 'late' })
    const found = pointer('/ms').find(event.json())
    // @ts-expect-error: what is found can be anything
    found + 1
    // @ts-expect-error: windows are closed by time and by nothing else
    this.counts.close()
  },

  fire: {
    counts({ key, start, end, value }, out) {
      out.emit(key, { start, end, count: value.toFixed(), size: this.config.size })
    },
    visits({ key, value }, out) {
      out.emit(key, value.join())
      // @ts-expect-error: these windows hold texts
      value.at(0).toFixed()
    },
  },
})

plugin({
  name: 'wrong',
  version: '0.1.0',
  windows: { visits },
  process() {},
  // @ts-expect-error: windows without their function
  fire: {},
})

plugin({
  name: 'wrong',
  version: '0.1.0',
  open: () => 5,
  // @ts-expect-error: the configuration is a number
  windows: { visits: windowed({ by: (config: Config) => tumbling(config.size), initial: 0, add: count => count + 1 }) },
  process() {},
  fire: { visits() {} },
})
