import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventTime, Fail, plugin, processingTime, Retry, Skip } from 'sandbar-sdk'
import { Host } from 'sandbar-sdk/testing'

const about = { name: 'tested', version: '0.1.0' }

/** A plugin that does what a function says. */
const doing = (process, more) => plugin({ ...about, ...more, process })

const values = host => host.takeOutputs().map(output => output.value)

test('timers fire by time, name and key, behind the record that makes them due', () => {
  const fire = (fired, out) => out.emit(fired.key, `${fired.timer} ${fired.at}`)
  const host = new Host(doing(function (event, out) {
    out.emit(event.key, 'record')
    for (const [name, at] of event.json()) this[name].set(at)
  }, {
    timers: { b: eventTime(), a: eventTime() },
    fire: {
      a: fire,
      b(fired, out) {
        fire(fired, out)
        if (fired.at < 30) this.b.set(fired.at + 10)
      },
    },
  }))
  const told = () => host.takeOutputs().map(({ key, value, timestamp }) => `${key} ${value} ${timestamp}`)
  host.push({ key: 'z', value: [['a', 20], ['b', 10], ['b', 10]] })
  host.push({ key: 'y', value: [['a', 20], ['a', 99]] })
  assert.deepEqual(told(), ['z record 0', 'y record 0'])
  host.advance(30)
  assert.deepEqual(told(), ['z b 10 10', 'y a 20 20', 'z a 20 20', 'z b 20 20', 'z b 30 30'])
  host.advance(20)
  host.push({ key: 'x', value: [['a', 30]] })
  host.push({ key: 'w', value: [] })
  assert.deepEqual(told(), ['x record 0', 'x a 30 30', 'w record 0'])
  assert.deepEqual(host.timers(), [{ timer: 'a', key: 'y', at: 99 }])
})

test('the clock has timers of its own, and time is told', () => {
  const host = new Host(doing(function (event) {
    this.tick.set(event.processingTime + 5)
  }, {
    timers: { tick: processingTime() },
    fire: {
      tick: (fired, out) => out.emit(fired.key, [fired.at, fired.watermark, fired.processingTime, Date.now()]),
    },
  }))
  host.clock(100)
  host.advance(7)
  host.push({ key: 'k' })
  host.clock(104)
  assert.deepEqual(values(host), [])
  host.clock(200)
  assert.deepEqual(values(host), ['[105,7,200,105]'])
})

test('an error of a timer is the call\'s, and the timer stays', () => {
  const host = new Host(doing(function () {
    this.skips.set(5)
  }, {
    timers: { skips: eventTime() },
    fire: { skips() { throw new Skip('told to') } },
  }))
  host.push({ key: 'k' })
  assert.throws(() => host.advance(5), new Fail('told to'))
  assert.deepEqual(host.timers(), [{ timer: 'skips', key: 'k', at: 5 }])
})

test('a timer that asks for its call again fires later', () => {
  let ready = false
  const host = new Host(plugin({
    ...about,
    timers: { later: eventTime() },
    process() {
      this.later.set(5)
    },
    fire: {
      later(fired, out) {
        out.emit(fired.key, 'fired')
        if (!ready) throw new Retry('not there yet')
      },
    },
  }))
  host.push({ key: 'k' })
  assert.throws(() => host.advance(5), new Retry('not there yet'))
  assert.deepEqual(values(host), [])
  ready = true
  host.advance(5)
  assert.deepEqual(values(host), ['fired'])
  assert.deepEqual(host.timers(), [])
})

test('the date and chance of a call are those of its record', () => {
  const host = new Host(doing((_, out) => out.emit(null, [new Date().toISOString(), Date.now(), Math.random()])))
  const before = [Date, Math.random]
  const told = record => (host.push(record), values(host)[0])
  const first = told({ timestamp: 1_700_000_000_123, offset: 5 })
  assert.match(first, /^\["2023-11-14T22:13:20.123Z",1700000000123,0\.\d+\]$/)
  assert.equal(told({ timestamp: 1_700_000_000_123, offset: 5 }), first)
  assert.notEqual(told({ timestamp: 1_700_000_000_123, offset: 6 }), first)
  assert.deepEqual([Date, Math.random], before)
})
