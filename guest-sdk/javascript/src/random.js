// Numbers by chance out of the host's random bytes, which are the same in a replay of the call.

const BYTES = 128

export class Chance {
  #bytes
  #pool = new DataView(new ArrayBuffer(0))
  #used = 0

  constructor(bytes) {
    this.#bytes = bytes
  }

  /** What is left of the call before is forgotten: an instance that was replaced would not have it. */
  forget() {
    this.#used = this.#pool.byteLength
  }

  /** As `Math.random`: of 53 bits. */
  next() {
    if (this.#used === this.#pool.byteLength) {
      this.#pool = new DataView(this.#bytes(BYTES).buffer)
      this.#used = 0
    }
    const [high, low] = [this.#pool.getUint32(this.#used), this.#pool.getUint32(this.#used + 4)]
    this.#used += 8
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53
  }
}
