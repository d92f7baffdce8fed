import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeadLetter, duration, hopping, plugin, session, tumbling, windowed } from 'sandbar-sdk'
import { Host } from 'sandbar-sdk/testing'

/** A plugin that keeps the values of the records of its windows, joined, and says what became of them. */
const joining = (by, more = {}) => plugin({
  name: 'tested',
  version: '0.1.0',
  outputs: ['out', 'late'],
  windows: {
    windows: windowed({ by, initial: [], add: (texts, event) => [...texts, event.text()], ...more }),
  },
  open: config => config,

  process(event, out) {
    if (!this.windows.add(event)) out.pass(event, { output: 'late' })
  },

  fire: {
    windows({ start, end, value, key }, out) {
      out.emit(key, `${start}..${end} ${value.join('')}`)
    },
  },
})

const merge = (one, other) => [...one, ...other]

const push = (host, value, timestamp, key = 'k') => host.push({ key, value, timestamp })

const told = host => host.takeOutputs().map(({ output, value, timestamp }) =>
  (output === 'late' ? `late ${value}` : `${value} @${timestamp}`))

test('tumbling windows are put out when event time reaches their last moment', () => {
  const host = new Host(joining(tumbling('10ms')))
  for (const [value, at] of [['a', 9], ['b', 0], ['c', 10], ['d', -1], ['e', -10]]) push(host, value, at)
  host.advance(-1)
  assert.deepEqual(told(host), ['-10..0 de @-1'])
  host.advance(8)
  assert.deepEqual(told(host), [])
  host.advance(100)
  assert.deepEqual(told(host), ['0..10 ab @9', '10..20 c @19'])
  assert.deepEqual([host.state('windows', 'k'), host.timers()], [undefined, []])
})

test('each key has windows of its own', () => {
  const host = new Host(joining(tumbling(10)))
  push(host, 'a', 1, 'x')
  push(host, 'b', 1, 'y')
  host.advance(9)
  assert.deepEqual(host.takeOutputs().map(({ key, value }) => [key, value]), [['x', '0..10 a'], ['y', '0..10 b']])
})

test('within the allowed lateness each record puts its window out again, and then none', () => {
  const host = new Host(joining(tumbling(10, { allowedLateness: 5 })))
  push(host, 'a', 1)
  host.advance(9)
  push(host, 'b', 2)
  host.advance(13)
  push(host, 'c', 3)
  host.advance(14)
  push(host, 'd', 4)
  assert.deepEqual(told(host), ['0..10 a @9', '0..10 ab @9', '0..10 abc @9', 'late d'])
  assert.equal(host.state('windows', 'k'), undefined)
  push(host, 'e', -100)
  assert.deepEqual(told(host), ['late e'])
})

test('hopping windows overlap, in the order of their ends', () => {
  const host = new Host(joining(hopping(10, 4)))
  push(host, 'a', 3)
  push(host, 'b', 8)
  host.advance(100)
  assert.deepEqual(told(host), ['-4..6 a @5', '0..10 ab @9', '4..14 b @13', '8..18 b @17'])
  push(host, 'c', 94)
  host.advance(110)
  assert.deepEqual(told(host), ['92..102 c @101'])
})

test('records at most a gap apart are one session, and a record joins those that it touches', () => {
  const host = new Host(joining(session(10), { merge }))
  for (const [value, at] of [['a', 0], ['b', 21], ['c', 10]]) push(host, value, at)
  assert.deepEqual(host.state('windows', 'k').windows.map(({ start, end }) => [start, end]), [[0, 20], [21, 31]])
  push(host, 'd', 11)
  host.advance(29)
  assert.deepEqual(told(host), [])
  host.advance(30)
  assert.deepEqual(told(host), ['0..31 acbd @30'])
  assert.deepEqual(host.timers(), [])
})

test('a session that a late record makes longer closes anew', () => {
  const host = new Host(joining(session(10, { allowedLateness: 20 }), { merge }))
  push(host, 'a', 0)
  host.advance(12)
  push(host, 'b', -3)
  push(host, 'c', 8)
  assert.deepEqual(told(host), ['0..10 a @9', '-3..10 ab @9'])
  host.advance(40)
  push(host, 'd', 8)
  assert.deepEqual(told(host), ['-3..18 abc @17', 'late d'])
})

test('windows go by the configuration', () => {
  const by = ({ size, late }) => tumbling(size, { allowedLateness: late })
  const host = new Host(joining(by), { size: '1s' })
  push(host, 'a', 1999)
  host.advance(1999)
  assert.deepEqual(told(host), ['1000..2000 a @1999'])
  assert.throws(() => new Host(joining(by), { size: '1' }), /"1" is no duration: it wants a whole number and one of/)
  assert.throws(() => new Host(joining(by), {}), /undefined is no duration/)
})

test('windows that cannot be are refused', () => {
  assert.throws(() => tumbling(0), { message: 'the size of windows is 1 ms at least, and not 0 ms' })
  assert.throws(() => hopping(5, 6), { message: 'windows of 5 ms hop 6 ms: what lies between would be in none' })
  assert.throws(() => hopping('1h', 1), { message: 'a record would be in 3600000 windows, 10000 at most' })
  assert.throws(() => session('-1s'), { message: 'the gap of sessions is 1 ms at least, and not -1000 ms' })
  assert.throws(() => tumbling(1, { allowedLateness: -1 }), { message: /the allowed lateness is 0 ms at least/ })
  assert.throws(() => new Host(joining(session(1))), { message: /sessions need a function merge/ })
  const windows = { views: windowed({ by: tumbling(1) }) }
  const alone = () => plugin({ name: 'a', version: '1', windows, process() {} })
  assert.throws(alone, { message: '"views" needs a function of its name in fire' })
})

test('what a refused record did to its windows is taken back', () => {
  const add = (texts, event) => {
    texts.push(event.text())
    if (event.text() === 'bad') throw new DeadLetter('told to')
    return event.text() === 'nothing' ? undefined : texts
  }
  const host = new Host(joining(hopping(10, 5), { add }))
  for (const value of ['a', 'bad', 'b', 'nothing']) push(host, value, 7)
  host.push({ value: 'c', timestamp: 7 })
  push(host, 'd', 2 ** 53)
  host.advance(20)
  assert.deepEqual(told(host), ['0..10 ab @9', '5..15 ab @14'])
  assert.deepEqual(host.takeRefused().map(({ reason }) => reason), [
    'told to', 'the function add of windows returned nothing', 'the record has no key',
    'the record\'s time, 9007199254740992, is beyond all windows',
  ])
})

test('windows are state: they are there when a plugin begins anew', () => {
  const host = new Host(joining(session(10), { merge }))
  push(host, 'a', 0)
  const kept = host.snapshot()
  push(host, 'b', 1)
  host.restore(kept)
  push(host, 'c', 5)
  host.advance(50)
  assert.deepEqual(told(host), ['0..15 ac @14'])
})

test('windows are described as a store and a timer', () => {
  const { stores, timers } = joining(tumbling(1), { version: 3, readableFrom: 2 }).describe()
  const [{ name, kind, schemaVersion, readableFrom }] = stores
  assert.deepEqual([name, kind, schemaVersion, readableFrom], ['windows', 'value', 3, 2])
  assert.deepEqual(timers, [{ name: 'windows', clock: 'event-time' }])
})

test('a duration is a number and a unit', () => {
  const texts = ['0s', '1ms', '10s', '-2m', '1h', '7d', 5]
  assert.deepEqual(texts.map(duration), [0, 1, 10_000, -120_000, 3_600_000, 604_800_000, 5])
  const wrong = ['', 's', '10', '10 s', '+1s', '--1s', '1.5s', '1s ', '1s\n', '1S', '1w', '9999999999d', '-s', 1.5]
  for (const text of wrong) assert.throws(() => duration(text), /is no duration/, String(text))
})
