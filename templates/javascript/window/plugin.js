// Counts the records of each key in windows of one size, one behind the other.

import { plugin, tumbling, windowed } from 'sandbar-sdk'

export default plugin({
  name: '{{name}}',
  version: '0.1.0',
  outputs: ['out', 'late'],
  needs: { keepsKey: true },
  configSchema: {
    type: 'object',
    properties: { 'size': { type: 'string' }, 'allowed-lateness': { type: 'string' } },
    required: ['size'],
    additionalProperties: false,
  },

  windows: {
    windows: windowed({
      by: config => tumbling(config.size, { allowedLateness: config['allowed-lateness'] }),
      initial: 0,
      add: count => count + 1,
    }),
  },

  process(event, out) {
    if (!this.windows.add(event)) out.pass(event, { output: 'late' })
  },

  fire: {
    windows({ key, start, end, value }, out) {
      out.emit(key, { start, end, count: value })
    },
  },
})
