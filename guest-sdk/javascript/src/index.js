import { log as host } from '#host'

export { json, raw } from './bytes.js'
export { duration } from './window/duration.js'
export { DeadLetter, Fail, Retry, Skip } from './errors.js'
export { plugin } from './plugin.js'
export { pointer } from './pointer.js'
export { counter, eventTime, gauge, list, map, processingTime, value } from './state.js'
export { hopping, session, tumbling, windowed } from './window/window.js'
export { utf8 } from '#host'

export const log = {
  debug: message => host.write('debug', String(message)),
  info: message => host.write('info', String(message)),
  warn: message => host.write('warn', String(message)),
  error: message => host.write('error', String(message)),
}
