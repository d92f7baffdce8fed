import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const here = name => fileURLToPath(new URL(name, import.meta.url))

// The first bytes of a component, in which a module has another version.
const COMPONENT = [0, 97, 115, 109, 13, 0, 1, 0]

function build(entry, output) {
  return spawnSync(process.execPath, [here('../bin/sandbar-build.js'), entry, '-o', output], { encoding: 'utf8' })
}

test('the programs of the README, in JavaScript and TypeScript, become components', t => {
  const folder = mkdtempSync(join(tmpdir(), 'sandbar-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const blocks = readFileSync(here('../README.md'), 'utf8').matchAll(/^```(js|ts)\n(.*?)^```/gms)
  const programs = [...blocks].filter(([, , text]) => text.includes('export default'))
  assert.deepEqual(programs.map(([, kind]) => kind), ['js', 'ts', 'js'])
  for (const [, kind, text] of programs) {
    const [entry, output] = [`program.${kind}`, 'program.wasm'].map(name => join(folder, name))
    writeFileSync(entry, text)
    const { status, stderr } = build(entry, output)
    assert.equal(status, 0, stderr)
    assert.deepEqual([...readFileSync(output).subarray(0, 8)], COMPONENT)
  }
})

test('a module that is no plugin is refused in its own words', t => {
  const folder = mkdtempSync(join(tmpdir(), 'sandbar-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const refused = (name, text) => {
    writeFileSync(join(folder, name), text)
    const { status, stderr } = build(join(folder, name), join(folder, 'x.wasm'))
    assert.equal(status, 1)
    return stderr
  }
  assert.match(refused('none.js', 'export const a = 1'), /No matching export in ".*none.js" for import "default"/)
  const twice = `import { plugin, value } from 'sandbar-sdk'
export default plugin({ name: 'a', version: '1', state: { config: value() }, process() {} })`
  assert.match(refused('twice.js', twice), /the plugin declares "config" twice/)
})
