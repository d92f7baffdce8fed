// From the lines of the bundle back to those of its sources: `sandbar-build` reads the source map, and puts into the
// component what an error needs of it.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The numbers of a segment. A digit has five bits, and says whether more follow; the lowest bit of all is the sign. */
function numbers(segment) {
  const read = []
  let [bits, shift] = [0, 0]
  for (const letter of segment) {
    const digit = DIGITS.indexOf(letter)
    bits |= (digit & 31) << shift
    shift += 5
    if (digit & 32) continue
    read.push(bits & 1 ? -(bits >>> 1) : bits >>> 1)
    ;[bits, shift] = [0, 0]
  }
  return read
}

/** Of a source map: for each line of the bundle the number of its source and the line there, or null. */
export function places(mappings) {
  const at = { source: 0, line: 0 }
  return mappings.split(';').map(line => {
    let place = null
    for (const [, sources, lines] of line.split(',').map(numbers)) {
      if (sources === undefined) continue
      at.source += sources
      at.line += lines
      place ??= [at.source, at.line + 1]
    }
    return place
  })
}

/** Says in a stack of calls, as QuickJS writes it, in which lines of the sources they stand. */
export function inSources(stack, { sources, lines }) {
  return stack.replace(/componentize-qjs:user\.js:(\d+):\d+/g, (text, number) => {
    const [source, line] = lines[number - 1] ?? []
    return line === undefined ? text : `${sources[source]}:${line}`
  })
}
