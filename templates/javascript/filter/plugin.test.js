import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Host } from 'sandbar-sdk/testing'
import plugin from './plugin.js'

test('records with a high number pass', () => {
  const host = new Host(plugin, { 'field': '/ms', 'at-least': 5 })
  for (const value of ['{"ms":7}', '{"ms":4}', '{"ms":"7"}', '{}', 'no JSON']) host.push({ value })
  assert.deepEqual(host.takeOutputs().map(({ value }) => value), ['{"ms":7}'])
  assert.equal(host.takeRefused().length, 1)
})
