// Passes the records whose number at a JSON pointer is high enough, unchanged.

import { plugin, pointer } from 'sandbar-sdk'

export default plugin({
  name: '{{name}}',
  version: '0.1.0',
  needs: { keepsKey: true },
  configSchema: {
    type: 'object',
    properties: { 'field': { type: 'string' }, 'at-least': { type: 'number' } },
    required: ['field', 'at-least'],
    additionalProperties: false,
  },

  open: config => ({ field: pointer(config.field), atLeast: config['at-least'] }),

  process(event, out) {
    const number = this.config.field.find(event.json())
    if (typeof number === 'number' && number >= this.config.atLeast) out.pass(event)
  },
})
