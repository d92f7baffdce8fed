// JSON pointers (RFC 6901): where in a document a value stands.

const NAMES = { '~0': '~', '~1': '/' }

function read(step) {
  if (/~(?![01])/.test(step)) throw new SyntaxError(`the step "${step}" of a JSON pointer has a tilde without 0 or 1`)
  return step.replace(/~[01]/g, escaped => NAMES[escaped])
}

function into(document, step) {
  const isIndex = !Array.isArray(document) || /^(0|[1-9]\d*)$/.test(step)
  const isThere = isIndex && typeof document === 'object' && document !== null && Object.hasOwn(document, step)
  return isThere ? document[step] : undefined
}

export function pointer(text) {
  const [before, ...steps] = String(text).split('/')
  if (before !== '') throw new SyntaxError(`the JSON pointer "${text}" does not start with a slash`)
  const names = steps.map(read)
  return { find: document => names.reduce(into, document) }
}
