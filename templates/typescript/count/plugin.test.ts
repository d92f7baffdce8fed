import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Host } from 'sandbar-sdk/testing'
import plugin from './plugin'

test('each key is counted', () => {
  const host = new Host(plugin)
  for (const key of ['a', 'b', 'a']) host.push({ key, value: 'x' })
  assert.deepEqual(host.takeOutputs().map(({ key, value }) => `${key} ${value}`), ['a 1', 'b 1', 'a 2'])
})
