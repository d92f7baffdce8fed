#!/usr/bin/env node
// Makes the component of a plugin: esbuild puts its modules, and what they import, into one; componentize-qjs puts that
// into QuickJS.

import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { componentize } from 'componentize-qjs'
import { build } from 'esbuild'
import { places } from '../src/source-map.js'

const USAGE = 'usage: sandbar-build PLUGIN.js|PLUGIN.ts [-o PLUGIN.wasm]'
const own = path => fileURLToPath(new URL(`../${path}`, import.meta.url))

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { output: { type: 'string', short: 'o' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) return console.log(USAGE)
  if (positionals.length !== 1) throw new Error(USAGE)
  const [entry] = positionals
  const output = values.output ?? entry.replace(/\.[cm]?[jt]s$/, '') + '.wasm'

  const bundle = await build({
    // The SDK comes first: what it adds to the engine is there for every other module.
    stdin: {
      contents: `import 'sandbar-sdk'
import plugin from ${JSON.stringify(resolve(entry))}
export const { describe, open, process, fire } = plugin`,
      resolveDir: own('.'),
      sourcefile: 'sandbar-build',
    },
    alias: { 'sandbar-sdk': own('src/index.js') },
    bundle: true,
    format: 'esm',
    target: 'es2023',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    external: ['sandbar:*', 'wasi:*'],
    write: false,
    sourcemap: 'external',
    sourcesContent: false,
    outfile: 'plugin.js',
    logLevel: 'warning',
  })
  const [map, source] = ['.map', '.js'].map(end => bundle.outputFiles.find(({ path }) => path.endsWith(end)).text)
  const { sources, mappings } = JSON.parse(map)
  // In a line of its own before all others, for which null stands.
  const lines = [null, ...places(mappings)]
  const jsSource = `globalThis.sandbarSources = ${JSON.stringify({ sources, lines })}\n${source}`
  const { component } = await componentize({ witPath: own('wit'), jsSource, sync: true })
  await writeFile(output, component)
  console.log(`${output}: ${component.length} bytes`)
}

main().catch(error => {
  // esbuild has told its own errors.
  if (!error.errors) console.error(error.message)
  process.exitCode = 1
})
