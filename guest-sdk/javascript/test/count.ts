import { plugin, value } from 'sandbar-sdk'

export default plugin({
  name: 'count-by-key',
  version: '0.1.0',
  state: { total: value<number>() },

  process(event, out) {
    const total = (this.total.get() ?? 0) + 1
    this.total.set(total)
    out.emit(event.key, total)
  },
})
