// From what an author declares to the four functions that the host calls.

import { begin, log, stack } from '#host'
import { Fail, Refusal, Retry, how, isOutOfMemory, reason } from './errors.js'
import { Event, Fired, Outputs, Window } from './event.js'
import { closedAt } from './window/window.js'

/** Puts each thing where the author's `this` finds it. */
function place(things, self) {
  for (const [name, thing] of Object.entries(things)) {
    if (Object.hasOwn(self, name)) throw new TypeError(`the plugin declares "${name}" twice`)
    self[name] = thing
  }
}

/** Gives each thing its number. */
const declare = things => Object.entries(things).map(([name, thing], number) => {
  Object.assign(thing, { number })
  return { name, ...thing.declared }
})

/** The store or the timer of each of the windows, by their names. */
const within = (windows, part) =>
  Object.fromEntries(Object.entries(windows).map(([name, windowed]) => [name, windowed[part]]))

/** Nothing in the sandbox would go on with a promise: what stands behind its first `await` would be lost. */
function refusePromise(answer) {
  if (typeof answer?.then === 'function') throw new Fail('a plugin cannot be async: there is nothing to wait for')
}

function call(run) {
  begin()
  refusePromise(run())
}

/** The host is told what an error says; the log also where it comes from. */
function tell(error) {
  if (error instanceof Refusal || isOutOfMemory(error)) return
  log.write('debug', error instanceof Error ? `${error}\n${stack(error)}` : String(error))
}

/** Ends the whole call; an instance without memory traps instead, and is replaced. */
function failure(tag, error) {
  return isOutOfMemory(error) ? error : { tag, val: reason(error) }
}

export function plugin(definition) {
  const { name, version, inputs = [], outputs = ['out'], needs, windows = {}, fire = {} } = definition
  // Without a schema the host takes no configuration; an empty one leaves the check to the author's `open`.
  const { configSchema = definition.open ? {} : '' } = definition
  const self = { config: undefined }
  for (const things of ['state', 'timers', 'metrics', 'windows']) place(definition[things] ?? {}, self)
  const stores = declare({ ...definition.state, ...within(windows, 'store') })
  const timers = declare({ ...definition.timers, ...within(windows, 'timer') })
  const metrics = declare(definition.metrics ?? {})
  const lost = timers.find(timer => typeof fire[timer.name] !== 'function')
  if (lost) throw new TypeError(`"${lost.name}" needs a function of its name in fire`)
  const out = new Outputs(outputs)
  for (const [name, windowed] of Object.entries(windows)) {
    windowed.fire = (key, window) => {
      const out = new Outputs(outputs, closedAt(window))
      refusePromise(fire[name].call(self, new Window(key, window), out))
    }
  }

  return {
    describe: () => ({
      ...{ name, version, inputs, outputs, stores, timers, metrics },
      configSchema: typeof configSchema === 'string' ? configSchema : JSON.stringify(configSchema),
      needs: { headers: true, ...needs },
    }),

    open(text) {
      begin()
      try {
        const config = JSON.parse(text.trim() || '{}') ?? {}
        self.config = definition.open ? definition.open(config) : config
        for (const windowed of Object.values(windows)) windowed.open(self.config)
      } catch (error) {
        throw reason(error)
      }
    },

    process(raw) {
      try {
        call(() => definition.process.call(self, new Event(raw, inputs), out))
        return { tag: 'done' }
      } catch (error) {
        if (error instanceof Retry || isOutOfMemory(error)) throw failure('retry', error)
        tell(error)
        return { tag: 'refuse', val: [how(error), reason(error)] }
      }
    },

    fire(number, key, at) {
      const { name } = timers[number]
      const fired = new Fired(name, key, at)
      try {
        call(() => (Object.hasOwn(windows, name) ? windows[name].reach(fired) : fire[name].call(self, fired, out)))
      } catch (error) {
        tell(error)
        throw failure(error instanceof Retry ? 'retry' : 'fail', error)
      }
    },
  }
}
