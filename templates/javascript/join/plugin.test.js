import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Host } from 'sandbar-sdk/testing'
import plugin from './plugin.js'

const config = { kind: 'inner', within: { before: '5s', after: '5s' } }

test('records that are near in time are a pair', () => {
  const host = new Host(plugin, config)
  host.push({ input: 'left', key: 'a', value: { order: 1 }, timestamp: 10_000 })
  host.push({ input: 'right', key: 'a', value: { paid: 1 }, timestamp: 15_000 })
  host.push({ input: 'right', key: 'a', value: { paid: 2 }, timestamp: 15_001 })
  host.push({ input: 'right', key: 'b', value: { paid: 3 }, timestamp: 10_000 })
  assert.deepEqual(host.takeOutputs().map(({ value, timestamp }) => `${value} ${timestamp}`),
    ['{"left":{"order":1},"right":{"paid":1}} 15000'])
})

test('a record is kept for as long as a partner can come', () => {
  const host = new Host(plugin, config)
  host.push({ input: 'left', key: 'a', value: { order: 1 }, timestamp: 10_000 })
  host.advance(14_999)
  assert.deepEqual(host.state('left', 'a'), { 10000: [{ order: 1 }] })
  host.advance(15_000)
  assert.deepEqual(host.state('left', 'a'), {})
  host.push({ input: 'right', key: 'a', value: { paid: 1 }, timestamp: 15_000 })
  assert.deepEqual(host.takeOutputs().map(({ output }) => output), ['late'])
})
