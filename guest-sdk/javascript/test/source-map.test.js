import assert from 'node:assert/strict'
import { test } from 'node:test'
import { build } from 'esbuild'
import { inSources, places } from '../src/source-map.js'

const SOURCE = `const far = 1


type Price = { amount: number }
export const price = (of: Price): number => { throw new Error('dear') }
export const é = () => [price({ amount: far }), price({ amount: 2 })]
`

test('the calls of a stack are found in their sources', async () => {
  const { outputFiles } = await build({
    stdin: { contents: SOURCE, loader: 'ts', sourcefile: 'shop/prices.ts' },
    ...{ bundle: true, format: 'esm', write: false, sourcemap: 'external', outfile: 'bundle.js', logLevel: 'silent' },
  })
  const [map, bundle] = outputFiles.map(file => file.text)
  const { sources, mappings } = JSON.parse(map)
  const told = stack => inSources(stack, { sources, lines: places(mappings) })
  const number = text => bundle.split('\n').findIndex(line => line.includes(text)) + 1
  const call = text => `at x (componentize-qjs:user.js:${number(text)}:9)`
  assert.equal(told(call('new Error')), 'at x (shop/prices.ts:5)')
  assert.equal(told(`Error: dear\n${call('new Error')}\n${call('price({')}`),
    'Error: dear\nat x (shop/prices.ts:5)\nat x (shop/prices.ts:6)')
  const foreign = 'at call (native)\nat x (componentize-qjs:user.js:9999:1)'
  assert.equal(told(foreign), foreign)
})
