import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  counter, DeadLetter, eventTime, Fail, gauge, list, log, map, plugin, raw, Retry, Skip, value,
} from 'sandbar-sdk'
import { Host } from 'sandbar-sdk/testing'

const about = { name: 'tested', version: '0.1.0' }

/** A plugin that does what a function says. */
const doing = (process, more = {}) => plugin({ ...about, ...more, process })

const values = host => host.takeOutputs().map(output => output.value)
const refused = host => host.takeRefused().map(({ how, reason }) => [how, reason])

test('the first program of the README counts', () => {
  const count = doing(function (event, out) {
    const total = (this.total.get() ?? 0) + 1
    this.total.set(total)
    out.emit(event.key, total)
  }, { state: { total: value() } })
  const host = new Host(count)
  for (const key of ['a', 'b', 'a']) host.push({ key, value: 'x', timestamp: 5 })
  assert.deepEqual(host.takeOutputs().map(({ key, value, timestamp }) => [key, value, timestamp]),
    [['a', '1', 5], ['b', '1', 5], ['a', '2', 5]])
  assert.deepEqual([host.state('total', 'a'), host.state('total', 'b'), host.state('total', 'c')], [2, 1, undefined])
})

test('an event passes as it is', () => {
  const host = new Host(doing((event, out) => out.pass(event)))
  const headers = [['n', '1'], ['n', null], ['m', new Uint8Array([255])]]
  host.push({ key: null, value: null, timestamp: -1, headers })
  assert.deepEqual(host.takeOutputs(), [{ output: 'out', key: null, value: null, timestamp: -1, headers }])
})

test('an event is what the plugin asked for', () => {
  const told = more => {
    const host = new Host(doing(({ input, partition, offset, headers }, out) => {
      out.emit(null, [input, partition, offset, headers.length])
    }, more))
    host.push({ value: '', partition: 3, offset: 7, headers: { a: 'x' } })
    return values(host)
  }
  assert.deepEqual(told({}), ['["",3,7,1]'])
  assert.deepEqual(told({ needs: { headers: false }, inputs: ['a', 'b'] }), ['["a",3,7,0]'])
})

test('outputs have names, times and headers of their own', () => {
  const host = new Host(doing((_, out) => {
    out.emit('é', { b: 1, a: [2.5, null] }, { output: 'late', timestamp: 9, headers: { why: 'old', not: null } })
    out.emit(new Uint8Array([255]), 'x')
  }, { outputs: ['out', 'late'] }))
  host.push({ timestamp: 1 })
  assert.deepEqual(host.takeOutputs(), [
    {
      ...{ output: 'late', key: 'é', value: '{"b":1,"a":[2.5,null]}', timestamp: 9 },
      headers: [['why', 'old'], ['not', null]],
    },
    { output: 'out', key: new Uint8Array([255]), value: 'x', timestamp: 1, headers: [] },
  ])
})

test('lists and maps', () => {
  const host = new Host(doing(function (event) {
    const [what, name, given] = event.json()
    if (what === 'push') this.seen.push(name)
    if (what === 'put') this.by.put(name, given)
    if (what === 'delete') this.by.delete(name)
    if (what === 'clear') (this.seen.clear(), this.by.clear())
    if (what === 'scan') log.info(JSON.stringify([[...this.by.scan(name)], this.by.get(name), this.seen.items()]))
  }, { state: { seen: list(), by: map() } }))
  const push = (...value) => host.push({ key: 'k', value })
  for (const name of ['b/2', 'a', 'é', 'b/10', 'b']) push('put', name, { n: 1 })
  push('push', 'x')
  push('push', ['y'])
  push('delete', 'b/2')
  push('scan', 'b')
  push('scan', '')
  assert.deepEqual(host.log.splice(0).map(({ message }) => JSON.parse(message)), [
    [[['b', { n: 1 }], ['b/10', { n: 1 }]], { n: 1 }, ['x', ['y']]],
    [[['a', { n: 1 }], ['b', { n: 1 }], ['b/10', { n: 1 }], ['é', { n: 1 }]], null, ['x', ['y']]],
  ])
  assert.deepEqual(Object.keys(host.state('by', 'k')).sort(), ['a', 'b', 'b/10', 'é'])
  push('clear')
  assert.deepEqual([host.state('by', 'k'), host.state('seen', 'k')], [{}, []])
})

test('a scan of more than a page takes place while entries go', () => {
  const host = new Host(doing(function (event, out) {
    if (event.value !== null) for (let i = 0; i < 2500; i++) this.by.put(String(i), i)
    let n = 0
    for (const [name] of this.by.scan()) {
      this.by.delete(name)
      n += 1
    }
    out.emit(null, n)
  }, { state: { by: map() } }))
  host.push({ key: 'k', value: 'x' })
  host.push({ key: 'k' })
  assert.deepEqual(values(host), ['2500', '0'])
})

test('what a refused record did is taken back, and what it counted stays', () => {
  const host = new Host(doing(function (event, out) {
    this.seen.add()
    this.last.set(event.offset)
    if (event.value === null) return
    out.emit(event.key, 'never')
    this.n.set(99)
    this.items.push(1)
    this.by.put('a', 1)
    this.by.delete('b')
    this.later.set(50)
    this.later.clear(60)
    const error = { Skip, DeadLetter, Fail, Error, TypeError }[event.text()]
    throw error ? new error('told to') : event.text()
  }, {
    state: { n: value(), items: list(), by: map() },
    timers: { later: eventTime() },
    metrics: { seen: counter('records seen'), last: gauge('the last offset') },
    fire: { later() {} },
  }))
  host.push({ key: 'k' })
  for (const value of ['Skip', 'DeadLetter', 'Fail', 'Error', 'TypeError', 'a text']) host.push({ key: 'k', value })
  assert.deepEqual(refused(host), [
    ['skip', 'told to'], ['dead-letter', 'told to'], ['fail', 'told to'], ['dead-letter', 'told to'],
    ['dead-letter', 'told to'], ['dead-letter', 'a text'],
  ])
  assert.deepEqual(host.takeOutputs(), [])
  assert.deepEqual([host.state('n', 'k'), host.state('items', 'k'), host.state('by', 'k')], [undefined, [], {}])
  assert.deepEqual(host.timers(), [])
  assert.deepEqual(host.metrics, { seen: 7, last: 6 })
  assert.match(host.log[0].message, /^Error: told to\n.*at/s)
})

test('an error of the author\'s own kind is what it is made from', () => {
  class TestEvent extends Skip {}
  const host = new Host(doing(() => { throw new TestEvent('no order') }))
  host.push({})
  assert.deepEqual(host.takeRefused(), [{ record: 0, how: 'skip', reason: 'no order' }])
})

test('a call to be repeated leaves nothing', () => {
  const host = new Host(doing(function () {
    this.n.set(1)
    throw new Retry('not there yet')
  }, { state: { n: value() } }))
  assert.throws(() => host.push({ key: 'k' }), new Retry('not there yet'))
  assert.equal(host.state('n', 'k'), undefined)
})

test('a record without a key is refused if it asks for state', () => {
  const host = new Host(doing(function (event, out) {
    if (event.value !== null) this.n.set((this.n.get() ?? 0) + 1)
    out.emit(null, 'x')
  }, { state: { n: value() } }))
  host.push({ value: 'a' })
  host.push({})
  assert.deepEqual(refused(host), [['dead-letter', 'the record has no key']])
  assert.deepEqual(values(host), ['x'])
})

test('a configuration is read, checked and kept by its host', () => {
  const made = doing(function (_, out) {
    out.emit(null, this.config.atLeast)
  }, {
    open(config) {
      if (!(config.atLeast > 0)) throw new Error('atLeast: a number above 0 was expected')
      return config
    },
  })
  assert.throws(() => new Host(made), { message: 'atLeast: a number above 0 was expected' })
  const [one, two] = [new Host(made, { atLeast: 1 }), new Host(made, { atLeast: 2 })]
  for (const host of [one, two, one]) host.push({})
  assert.deepEqual([values(one), values(two)], [['1', '1'], ['2']])
})

test('a snapshot brings everything back', () => {
  const host = new Host(doing(function () {
    this.n.set((this.n.get() ?? 0) + 1)
    this.by.put('a', 1)
  }, { state: { n: value(), by: map() } }))
  host.push({ key: 'k' })
  const kept = host.snapshot()
  host.push({ key: 'k' })
  assert.equal(host.state('n', 'k'), 2)
  host.restore(kept)
  assert.deepEqual([host.state('n', 'k'), host.state('by', 'k')], [1, { a: 1 }])
})

test('a store keeps bytes as they are if it is told to', () => {
  const host = new Host(doing(function (event) {
    this.last.set(event.value)
  }, { state: { last: value({ codec: raw }) } }))
  host.push({ key: 'k', value: new Uint8Array([0, 255]) })
  assert.deepEqual(host.state('last', 'k'), new Uint8Array([0, 255]))
})

test('what cannot be put out, kept or set is a dead letter that says why', () => {
  const host = new Host(doing(function (event, out) {
    const tried = {
      output: () => out.emit(null, 'x', { output: 'late' }),
      time: () => out.emit(null, 'x', { timestamp: 1.5 }),
      timer: () => this.later.set(2 ** 60),
      nothing: () => out.emit(null, undefined),
      store: () => this.n.set(undefined),
      text: () => event.text(),
      json: () => event.json(),
      async: async () => {},
    }
    return tried[event.keyText()]()
  }, { state: { n: value() }, timers: { later: eventTime() }, fire: { later() {} } }))
  for (const key of ['output', 'time', 'timer', 'nothing', 'store', 'text', 'json', 'async']) host.push({ key })
  host.push({ key: 'text', value: new Uint8Array([255]) })
  assert.deepEqual(refused(host), [
    ['dead-letter', 'the plugin declares no output "late"'],
    ['dead-letter', 'a time is a whole number of milliseconds, and not 1.5'],
    ['dead-letter', 'a time is a whole number of milliseconds, and not 1152921504606847000'],
    ['dead-letter', 'undefined is no JSON'],
    ['dead-letter', 'undefined is no JSON'],
    ['dead-letter', 'the value is null'],
    ['dead-letter', 'the value is null'],
    ['fail', 'a plugin cannot be async: there is nothing to wait for'],
    ['dead-letter', 'the bytes are not UTF-8'],
  ])
})
