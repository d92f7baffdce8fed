import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Host } from 'sandbar-sdk/testing'
import plugin from './plugin'

test('the records of a window are counted once it is over', () => {
  const host = new Host(plugin, { 'size': '10s', 'allowed-lateness': '5s' })
  for (const timestamp of [1000, 9999, 10_000]) host.push({ key: 'a', value: 'x', timestamp })
  host.advance(9999)
  assert.deepEqual(host.takeOutputs().map(({ value }) => value), ['{"start":0,"end":10000,"count":2}'])
})

test('a late record counts, and one that is too late goes to another output', () => {
  const host = new Host(plugin, { 'size': '10s', 'allowed-lateness': '5s' })
  host.advance(9999)
  host.push({ key: 'a', value: 'x', timestamp: 1000 })
  host.advance(14_999)
  host.push({ key: 'a', value: 'x', timestamp: 1000 })
  const told = host.takeOutputs().map(({ output, timestamp }) => `${output} ${timestamp}`)
  assert.deepEqual(told, ['out 9999', 'late 1000'])
})
