import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { counter, eventTime, gauge, list, log, map, plugin, processingTime, value } from 'sandbar-sdk'
import { Chance } from '../src/random.js'

const process = () => {}

test('a plugin describes what it declares, in its order', () => {
  const made = plugin({
    name: 'all', version: '1.2.3', inputs: ['a', 'b'], outputs: ['out', 'late'], process,
    state: { count: value(), seen: list({ ttl: 5, refreshOnRead: true }), by: map({ version: 3, readableFrom: 2 }) },
    timers: { later: eventTime(), clock: processingTime() },
    metrics: { events: counter('events seen'), last: gauge('the last one') },
    fire: { later() {}, clock() {} },
    configSchema: { type: 'object' },
    needs: { coordinates: true },
  })
  const store = { codec: 'json', schemaVersion: 1, readableFrom: 1, ttl: 0, refreshOnRead: false }
  assert.deepEqual(made.describe(), {
    name: 'all', version: '1.2.3', inputs: ['a', 'b'], outputs: ['out', 'late'],
    stores: [
      { name: 'count', kind: 'value', ...store },
      { name: 'seen', kind: 'list-of', ...store, ttl: 5, refreshOnRead: true },
      { name: 'by', kind: 'map-of', ...store, schemaVersion: 3, readableFrom: 2 },
    ],
    timers: [{ name: 'later', clock: 'event-time' }, { name: 'clock', clock: 'processing-time' }],
    metrics: [
      { name: 'events', kind: 'counter', help: 'events seen' },
      { name: 'last', kind: 'gauge', help: 'the last one' },
    ],
    configSchema: '{"type":"object"}',
    needs: { headers: true, coordinates: true },
  })
})

test('a plugin that declares little has one output and asks for headers', () => {
  assert.deepEqual(plugin({ name: 'a', version: '1', process }).describe(), {
    name: 'a', version: '1', inputs: [], outputs: ['out'], stores: [], timers: [], metrics: [], configSchema: '',
    needs: { headers: true },
  })
})

test('a plugin that checks its configuration takes one', () => {
  assert.equal(plugin({ name: 'a', version: '1', process, open() {} }).describe().configSchema, '{}')
})

test('a plugin whose parts do not fit together is not made', () => {
  const made = more => () => plugin({ name: 'a', version: '1', process, ...more })
  assert.throws(made({ timers: { later: eventTime() } }), /"later" needs a function of its name in fire/)
  assert.throws(made({ state: { a: value() }, metrics: { a: counter('') } }), /declares "a" twice/)
  assert.throws(made({ state: { config: value() } }), /declares "config" twice/)
})

test('an instance that has no memory left is not asked again', () => {
  class InternalError extends Error {
    name = 'InternalError'
  }
  const made = plugin({ name: 'a', version: '1', process() { throw new InternalError('out of memory') } })
  assert.throws(() => made.process({ headers: [] }), InternalError)
})

test('state is there in calls only, and the log everywhere', t => {
  const store = value()
  plugin({ name: 'a', version: '1', state: { store }, process })
  assert.throws(() => store.get(), /only while the testing host calls the plugin/)
  const told = t.mock.method(console, 'warn', () => {})
  log.warn('careful')
  assert.deepEqual(told.mock.calls[0].arguments, ['careful'])
})

test('chance is of 53 bits, and begins anew in each call', () => {
  let asked = 0
  const bytes = n => {
    asked += 1
    return Uint8Array.from({ length: n }, (_, i) => (i < 8 ? 255 : (i * 37 + asked) % 256))
  }
  const chance = new Chance(bytes)
  assert.equal(chance.next(), 1 - 2 ** -53)
  const some = Array.from({ length: 40 }, () => chance.next())
  assert.ok(some.every(number => number >= 0 && number < 1))
  assert.equal(asked, 3)
  chance.forget()
  assert.equal(chance.next(), 1 - 2 ** -53)
  assert.equal(asked, 4)
})

test('the interface is that of the repository', t => {
  const [own, root] = ['../wit/deps/sandbar/', '../../../wit/v0.1/'].map(path => new URL(path, import.meta.url))
  if (!existsSync(root)) return t.skip('this is not the repository')
  const text = (folder, name) => readFileSync(new URL(name, folder), 'utf8')
  for (const name of readdirSync(own)) assert.equal(text(own, name), text(root, name), name)
})
