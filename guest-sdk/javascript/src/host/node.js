// The host in a test under node: whichever `testing` runs a call for.

export const current = { host: undefined }

const part = name => new Proxy({}, {
  get: (_, called) => (...given) => {
    if (!current.host) throw new Error(`${name}.${called} is there only while the testing host calls the plugin`)
    return current.host[name][called](...given)
  },
})

export const [state, timers, output] = ['state', 'timers', 'output'].map(part)

export const log = {
  write: (level, message) => (current.host ? current.host.log.push({ level, message }) : console[level](message)),
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const utf8 = {
  encode: text => encoder.encode(text),
  decode(bytes) {
    try {
      return decoder.decode(bytes)
    } catch {
      throw new TypeError('the bytes are not UTF-8')
    }
  },
}

export const begin = () => {}

export const stack = error => error.stack
