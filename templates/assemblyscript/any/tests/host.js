// A host in memory for unit tests: the other side of `assembly/sandbar.ts`.
import { readFileSync } from "node:fs";

const module = new WebAssembly.Module(readFileSync(new URL("../build/core.wasm", import.meta.url)));

/** Starts the plugin; `config` is an object. */
export function start(config) {
  const state = new Map(), timers = new Map(), outputs = [], log = [];
  let watermark = -(2n ** 63n), current, memory, plugin;

  const read = (at, size) => new TextDecoder().decode(new Uint8Array(memory.buffer, at, size));
  const write = (text) => {
    const bytes = new TextEncoder().encode(text), at = plugin.cabi_realloc(0, 0, 1, bytes.length);
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    return [at, bytes.length];
  };
  const optional = (text) => (text === null ? [0, 0, 0] : [1, ...write(text)]);
  const word = (at, place) => new DataView(memory.buffer).getUint32(at + place, true);
  const place = (store, userKey = "") => [store, current.key, userKey].join("\n");
  const give = (text, result) => new Uint32Array(memory.buffer, result, 3).set(optional(text ?? null));

  const imports = {
    "sandbar:plugin/state@0.1.0": {
      get: (store, result) => give(state.get(place(store)), result),
      put: (store, at, size) => state.set(place(store), read(at, size)),
      delete: (store) => state.delete(place(store)),
      "get-entry": (store, at, size, result) => give(state.get(place(store, read(at, size))), result),
      "put-entry": (store, at, size, value, length) => state.set(place(store, read(at, size)), read(value, length)),
      "delete-entry": (store, at, size) => state.delete(place(store, read(at, size))),
    },
    "sandbar:plugin/timers@0.1.0": {
      set: (timer, at) => timers.set(`${timer}\n${current.key}\n${at}`, { timer, key: current.key, at }),
      clear: (timer, at) => timers.delete(`${timer}\n${current.key}\n${at}`),
      watermark: () => watermark,
    },
    "sandbar:plugin/output@0.1.0": {
      emit: (output, hasKey, key, keySize, hasValue, value, valueSize, hasTime, time) => outputs.push({
        output,
        key: hasKey ? read(key, keySize) : null,
        value: hasValue ? read(value, valueSize) : null,
        timestamp: Number(hasTime ? time : current.timestamp),
      }),
    },
    "sandbar:plugin/log@0.1.0": { write: (level, at, size) => log.push(read(at, size)) },
  };
  plugin = new WebAssembly.Instance(module, imports).exports;
  memory = plugin.memory;
  plugin._initialize();

  /** Calls the plugin, and gives the reason if it returned an error or refused. */
  const call = (name, at, ...args) => {
    current = at;
    const result = plugin[name](...args), bytes = new Uint8Array(memory.buffer);
    let reason = null;
    if (name === "open" && bytes[result]) reason = read(word(result, 4), word(result, 8));
    else if (name !== "open" && bytes[result]) reason = read(word(result, 8), word(result, 12));
    else if (name === "process" && bytes[result + 4]) reason = read(word(result, 12), word(result, 16));
    plugin[`cabi_post_${name}`](result);
    return reason;
  };
  const fireDue = () => {
    const due = [...timers].filter(([, { at }]) => at <= watermark).sort(([, a], [, b]) => Number(a.at - b.at));
    if (!due.length) return;
    const [[name, { timer, key, at }]] = due;
    timers.delete(name);
    call("fire", { key, timestamp: at }, timer, ...write(key), at);
    fireDue();
  };

  return {
    outputs, state, log,
    refused: call("open", {}, ...write(config ? JSON.stringify(config) : "")),
    /** A record comes; the reason, if it was refused. */
    push(key, value, timestamp, input = 0) {
      const at = BigInt(timestamp), from = { key, timestamp: at };
      const reason = call("process", from, input, ...optional(key), ...optional(value), at, 0, 0n, 0, 0);
      fireDue();
      return reason;
    },
    /** Event time moves on. */
    advance(time) {
      watermark = BigInt(time);
      fireDue();
    },
  };
}
