// From what an author declares to the four functions that the host calls.

import { begin, log } from '#host'
import { Fail, Refusal, Retry, how, isOutOfMemory, reason } from './errors.js'
import { Event, Fired, Outputs } from './event.js'

/** Gives each thing its name and number, and puts it where the author's `this` finds it. */
function declare(things, self) {
  return Object.entries(things).map(([name, thing], number) => {
    if (Object.hasOwn(self, name)) throw new TypeError(`the plugin declares "${name}" twice`)
    self[name] = Object.assign(thing, { number })
    return { name, ...thing.declared }
  })
}

function call(run) {
  begin()
  // Nothing in the sandbox would go on with a promise: what stands behind its first `await` would be lost.
  if (typeof run()?.then === 'function') throw new Fail('a plugin cannot be async: there is nothing to wait for')
}

/** Ends the whole call; an instance without memory traps instead, and is replaced. */
function failure(tag, error) {
  return isOutOfMemory(error) ? error : { tag, val: reason(error) }
}

export function plugin(definition) {
  const { name, version, inputs = [], outputs = ['out'], needs, fire = {} } = definition
  // Without a schema the host takes no configuration; an empty one leaves the check to the author's `open`.
  const { configSchema = definition.open ? {} : '' } = definition
  const self = { config: undefined }
  const stores = declare(definition.state ?? {}, self)
  const timers = declare(definition.timers ?? {}, self)
  const metrics = declare(definition.metrics ?? {}, self)
  const lost = timers.find(timer => typeof fire[timer.name] !== 'function')
  if (lost) throw new TypeError(`the timer "${lost.name}" needs a function of its name in fire`)
  const out = new Outputs(outputs)

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
        if (!(error instanceof Refusal)) log.write('debug', `${error}\n${error?.stack ?? ''}`)
        return { tag: 'refuse', val: [how(error), reason(error)] }
      }
    },

    fire(number, key, at) {
      const { name } = timers[number]
      try {
        call(() => fire[name].call(self, new Fired(name, key, at), out))
      } catch (error) {
        throw failure(error instanceof Retry ? 'retry' : 'fail', error)
      }
    },
  }
}
