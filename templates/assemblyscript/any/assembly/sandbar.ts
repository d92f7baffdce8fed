// Sandbar's interface for AssemblyScript: world `record-processor` by hand, as WebAssembly's canonical ABI has it.
//
// A list or a text is a pointer and a length. A record's fields lie one behind the other, each at a place that its
// size divides. Of an option, a variant and a result, a byte says which it is; what it holds follows.

// ---- What a plugin is ----

export enum Kind { Value, List, Map }
export enum Clock { EventTime, ProcessingTime }
export enum Level { Debug, Info, Warn, Error }
enum How { Skip, DeadLetter, Fail, Retry }

/// Why a call came to nothing. A function of the plugin returns one, or null if all went well.
export class Refusal {
  constructor(readonly how: i32, readonly reason: string) {}
}
export function skip(reason: string): Refusal { return new Refusal(How.Skip, reason); }
export function deadLetter(reason: string): Refusal { return new Refusal(How.DeadLetter, reason); }
export function fail(reason: string): Refusal { return new Refusal(How.Fail, reason); }
export function retry(reason: string): Refusal { return new Refusal(How.Retry, reason); }

/// A record that came in. `input` is the number of the input that it came by.
export class Event {
  constructor(
    readonly input: i32,
    readonly key: ArrayBuffer | null,
    readonly value: ArrayBuffer | null,
    readonly timestamp: i64,
    readonly headers: usize, // as the host gave them
    readonly headerCount: i32,
  ) {}
}

/// A timer that fired: `at` is the time that it was set to.
export class Fired {
  constructor(readonly key: ArrayBuffer, readonly at: i64) {}
}

/// The plugin. Its file sets the fields.
export class Plugin {
  name: string = "";
  version: string = "";
  inputs: string[] = [];
  outputs: string[] = ["out"];
  /// A JSON schema; empty: the plugin takes no configuration.
  configSchema: string = "";
  /// Each output has the key of its record.
  keepsKey: bool = false;
  /// Records come with their headers.
  headers: bool = false;
  /// Reads the configuration, a JSON text.
  open: (config: string) => Refusal | null = (config: string): Refusal | null => null;
  process: (event: Event) => Refusal | null = (event: Event): Refusal | null => fail("there is no plugin.process");
  stores: Store[] = [];
  timers: Timer[] = [];
}
export const plugin = new Plugin();

// ---- State, timers and outputs of the key whose record, or timer, the call is for ----

/// A store: bytes, which are a JSON text. `get` and `put` are a value's, `getEntry` and so on a map's.
export class Store {
  readonly number: i32 = plugin.stores.length;
  constructor(readonly name: string, readonly kind: Kind) { plugin.stores.push(this); }

  get(): string | null {
    const result = block(12);
    stateGet(this.number, result);
    return optional(result);
  }
  put(json: string): void {
    const value = bytes(json);
    statePut(this.number, pointer(value), value.byteLength);
  }
  delete(): void { stateDelete(this.number); }

  getEntry(userKey: string): string | null {
    const key = bytes(userKey), result = block(12);
    stateGetEntry(this.number, pointer(key), key.byteLength, result);
    return optional(result);
  }
  putEntry(userKey: string, json: string): void {
    const key = bytes(userKey), value = bytes(json);
    statePutEntry(this.number, pointer(key), key.byteLength, pointer(value), value.byteLength);
  }
  deleteEntry(userKey: string): void {
    const key = bytes(userKey);
    stateDeleteEntry(this.number, pointer(key), key.byteLength);
  }
}

/// A timer, and what is called when it fires.
export class Timer {
  readonly number: i32 = plugin.timers.length;
  constructor(readonly name: string, readonly clock: Clock, readonly fire: (fired: Fired) => Refusal | null) {
    plugin.timers.push(this);
  }
  /// At a time in milliseconds since 1970. A time of the past fires right behind this call.
  set(at: i64): void { timerSet(this.number, at); }
  clear(at: i64): void { timerClear(this.number, at); }
}

/// A new record, with the time of the event or of the timer unless another one is given.
export function emit(key: ArrayBuffer | null, value: string, timestamp: i64 = i64.MIN_VALUE): void {
  const hasTimestamp = timestamp != i64.MIN_VALUE, written = bytes(value);
  hostEmit(
    0, key !== null, pointer(key), length(key), true, pointer(written), length(written),
    hasTimestamp, timestamp, 0, 0,
  );
}
/// Hands a record on as it is, to the output of this number.
export function pass(event: Event, output: i32 = 0): void {
  const key = event.key, value = event.value;
  hostEmit(
    output, key !== null, pointer(key), length(key), value !== null, pointer(value), length(value),
    false, 0, event.headers, event.headerCount,
  );
}
/// A line for the operator's log.
export function log(message: string, level: Level = Level.Info): void {
  const line = bytes(message);
  logWrite(level, pointer(line), line.byteLength);
}

/// The text of bytes, and the bytes of a text, in UTF-8. Bytes that are no UTF-8 do not come back the same.
export function text(bytes: ArrayBuffer): string { return String.UTF8.decode(bytes); }
export function bytes(text: string): ArrayBuffer { return String.UTF8.encode(text); }

/// Milliseconds of a duration such as "10s".
export function duration(text: string): i64 {
  const ms = I64.parseInt(text);
  if (text.endsWith("ms")) return ms;
  if (text.endsWith("s")) return ms * 1000;
  if (text.endsWith("m")) return ms * 60_000;
  return ms * (text.endsWith("h") ? 3_600_000 : 86_400_000);
}

// ---- What the host offers ----

@external("sandbar:plugin/state@0.1.0", "get")
declare function stateGet(store: i32, result: usize): void;
@external("sandbar:plugin/state@0.1.0", "put")
declare function statePut(store: i32, value: usize, valueSize: i32): void;
@external("sandbar:plugin/state@0.1.0", "delete")
declare function stateDelete(store: i32): void;
@external("sandbar:plugin/state@0.1.0", "get-entry")
declare function stateGetEntry(store: i32, key: usize, keySize: i32, result: usize): void;
@external("sandbar:plugin/state@0.1.0", "put-entry")
declare function statePutEntry(store: i32, key: usize, keySize: i32, value: usize, valueSize: i32): void;
@external("sandbar:plugin/state@0.1.0", "delete-entry")
declare function stateDeleteEntry(store: i32, key: usize, keySize: i32): void;
@external("sandbar:plugin/timers@0.1.0", "set")
declare function timerSet(timer: i32, at: i64): void;
@external("sandbar:plugin/timers@0.1.0", "clear")
declare function timerClear(timer: i32, at: i64): void;
@external("sandbar:plugin/timers@0.1.0", "watermark")
export declare function watermark(): i64;
@external("sandbar:plugin/output@0.1.0", "emit")
declare function hostEmit(
  output: i32, hasKey: bool, key: usize, keySize: i32, hasValue: bool, value: usize, valueSize: i32,
  hasTimestamp: bool, timestamp: i64, headers: usize, headerCount: i32,
): void;
@external("sandbar:plugin/log@0.1.0", "write")
declare function logWrite(level: i32, message: usize, messageSize: i32): void;

// ---- What the host calls ----

export function describe(): usize {
  const at = block(68), stores = plugin.stores, timers = plugin.timers;
  putText(at, plugin.name);
  putText(at + 8, plugin.version);
  putTexts(at + 16, plugin.inputs);
  putTexts(at + 24, plugin.outputs);
  const ofStores = putList(at + 32, stores.length, 48);
  for (let i = 0; i < stores.length; i++) {
    const entry = ofStores + 48 * i;
    putText(entry, stores[i].name);
    store<u8>(entry, stores[i].kind, 8);
    putText(entry + 12, "json");
    store<u32>(entry, 1, 20); // the version of the schema, and the oldest that can be read
    store<u32>(entry, 1, 24);
  }
  const ofTimers = putList(at + 40, timers.length, 12);
  for (let i = 0; i < timers.length; i++) {
    putText(ofTimers + 12 * i, timers[i].name);
    store<u8>(ofTimers + 12 * i, timers[i].clock, 8);
  }
  putList(at + 48, 0, 20); // no metrics
  putText(at + 56, plugin.configSchema);
  store<u8>(at, (plugin.headers ? 2 : 0) | (plugin.keepsKey ? 4 : 0), 64);
  return at;
}

export function open(config: usize, configSize: i32): usize {
  const refusal = plugin.open(text(lift(config, configSize)));
  const at = block(12); // no error
  if (refusal) {
    store<u8>(at, 1);
    putText(at + 4, refusal.reason);
  }
  return at;
}

export function process(
  input: i32, hasKey: bool, key: usize, keySize: i32, hasValue: bool, value: usize, valueSize: i32,
  timestamp: i64, partition: i32, offset: i64, headers: usize, headerCount: i32,
): usize {
  const ofKey = hasKey ? lift(key, keySize) : null, ofValue = hasValue ? lift(value, valueSize) : null;
  const event = new Event(input, ofKey, ofValue, timestamp, headers, headerCount);
  const refusal = plugin.process(event);
  if (refusal && refusal.how == How.Retry) return failure(refusal);
  const at = block(20); // no error, and `done`
  if (refusal) {
    store<u8>(at, 1, 4); // `refuse`
    store<u8>(at, refusal.how, 8);
    putText(at + 12, refusal.reason);
  }
  return at;
}

export function fire(timer: i32, key: usize, keySize: i32, at: i64): usize {
  const refusal = plugin.timers[timer].fire(new Fired(lift(key, keySize), at));
  return refusal ? failure(refusal) : block(16);
}

function failure(refusal: Refusal): usize {
  const at = block(20);
  store<u8>(at, 1);
  store<u8>(at, refusal.how == How.Retry ? 0 : 1, 4);
  putText(at + 8, refusal.reason);
  return at;
}

// ---- Memory: nothing of a call is freed before the host has read its result ----

/// The host asks for memory for what it gives.
export function cabi_realloc(old: usize, oldSize: i32, align: i32, size: i32): usize {
  const fresh = block(size);
  memory.copy(fresh, old, min(oldSize, size));
  return fresh;
}

/// The host has read the result: what nobody holds is freed.
export function cabi_post_describe(result: usize): void { __collect(); }
export function cabi_post_open(result: usize): void { __collect(); }
export function cabi_post_process(result: usize): void { __collect(); }
export function cabi_post_fire(result: usize): void { __collect(); }

/// Zeroed memory, which lasts until the call ends.
function block(size: i32): usize { return pointer(new ArrayBuffer(size)); }

/// A copy of a list of bytes, as AssemblyScript has it. An empty one may come with any pointer.
function lift(at: usize, size: i32): ArrayBuffer {
  const copy = new ArrayBuffer(size);
  memory.copy(changetype<usize>(copy), at, size);
  return copy;
}
/// Of an `option<list<u8>>`.
function optional(at: usize): string | null {
  return load<u8>(at) ? text(lift(load<u32>(at, 4), load<u32>(at, 8))) : null;
}
function pointer(bytes: ArrayBuffer | null): usize { return changetype<usize>(bytes); }
function length(bytes: ArrayBuffer | null): i32 { return bytes ? bytes.byteLength : 0; }

function putText(at: usize, text: string): void {
  const encoded = bytes(text);
  store<u32>(at, pointer(encoded));
  store<u32>(at, encoded.byteLength, 4);
}
function putList(at: usize, count: i32, size: i32): usize {
  const list = block(count * size);
  store<u32>(at, list);
  store<u32>(at, count, 4);
  return list;
}
function putTexts(at: usize, texts: string[]): void {
  const list = putList(at, texts.length, 8);
  for (let i = 0; i < texts.length; i++) putText(list + 8 * i, texts[i]);
}

/// What AssemblyScript calls if the program is wrong: a line in the log, and a trap.
export function aborted(message: string | null, file: string | null, line: u32, column: u32): void {
  log(`${message ? message : "An assertion failed"} in ${file}:${line}`, Level.Error);
  unreachable();
}
