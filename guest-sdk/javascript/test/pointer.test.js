import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pointer } from 'sandbar-sdk'

test('the examples of RFC 6901 are found', () => {
  const document = {
    'foo': ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'e^f': 3, 'g|h': 4, 'i\\j': 5, 'k"l': 6, ' ': 7, 'm~n': 8,
  }
  const texts = ['/', '/a~1b', '/c%d', '/e^f', '/g|h', '/i\\j', '/k"l', '/ ', '/m~0n']
  assert.deepEqual(texts.map(text => pointer(text).find(document)), [0, 1, 2, 3, 4, 5, 6, 7, 8])
  assert.equal(pointer('').find(document), document)
  assert.deepEqual([pointer('/foo').find(document), pointer('/foo/0').find(document)], [['bar', 'baz'], 'bar'])
  assert.equal(pointer('/~01').find({ '~1': 9 }), 9)
})

test('what is not there is not found', () => {
  const document = { a: [1, { b: null }], n: 1, t: 'text' }
  assert.equal(pointer('/a/1/b').find(document), null)
  const texts = ['/x', '/a/2', '/a/-', '/a/01', '/a/+1', '/a/length', '/n/0', '/t/0', '/a/1/b/c', '/a/', '/toString']
  for (const text of texts) assert.equal(pointer(text).find(document), undefined, text)
})

test('a wrong pointer is refused', () => {
  for (const text of ['a', 'a/b', undefined]) assert.throws(() => pointer(text), /does not start with a slash/)
  for (const text of ['/~', '/~2', '/a~']) assert.throws(() => pointer(text), /has a tilde without 0 or 1/)
})
