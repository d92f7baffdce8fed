// Counts the records of each key: for every record the number of those that its key has had.

import { plugin, value } from 'sandbar-sdk'

export default plugin({
  name: '{{name}}',
  version: '0.1.0',
  needs: { keepsKey: true, headers: false },
  state: { total: value() },

  process(event, out) {
    const total = (this.total.get() ?? 0) + 1
    this.total.set(total)
    out.emit(event.key, total)
  },
})
