// Counts the words of each key, without an SDK: world `record-processor` by hand, by WebAssembly's canonical ABI.
//
// A list or a text is a pointer and a length. A record's fields lie one behind the other, each at a place that its
// size divides. Of an option, a variant and a result, a byte says which it is; what it holds follows.

@external("sandbar:plugin/state@0.1.0", "get-entry")
declare function getEntry(store: i32, key: usize, keySize: i32, result: usize): void;
@external("sandbar:plugin/state@0.1.0", "put-entry")
declare function putEntry(store: i32, key: usize, keySize: i32, value: usize, valueSize: i32): void;
@external("sandbar:plugin/output@0.1.0", "emit")
declare function emit(
  output: i32, hasKey: bool, key: usize, keySize: i32, hasValue: bool, value: usize, valueSize: i32,
  hasTimestamp: bool, timestamp: i64, headers: usize, headerCount: i32,
): void;

const WORDS = 0, MAP = 2, DEAD_LETTER = 1, KEEPS_KEY = 4;

/// What the plugin is, and what it keeps.
export function describe(): usize {
  const description = block(68), outputs = block(8), words = block(48);
  putText(description, "words");
  putText(description + 8, "0.1.0");
  putText(outputs, "out");
  putList(description + 24, outputs, 1);
  putText(words, "words");
  store<u8>(words, MAP, 8);
  putText(words + 12, "json");
  store<u32>(words, 1, 20); // the version of the schema, and the oldest that can be read
  store<u32>(words, 1, 24);
  putList(description + 32, words, 1);
  store<u8>(description, KEEPS_KEY, 64);
  return description;
}

/// There is no configuration, so nothing can be wrong with it.
export function open(config: usize, configSize: i32): usize {
  return block(12);
}

export function process(
  input: i32, hasKey: bool, key: usize, keySize: i32, hasValue: bool, value: usize, valueSize: i32,
  timestamp: i64, partition: i32, offset: i64, headers: usize, headerCount: i32,
): usize {
  if (!hasValue) return refuse("the record has no value");
  const end = value + valueSize;
  for (let start = value; start < end; ) {
    let at = start;
    while (at < end && load<u8>(at) > 0x20) at++;
    if (at > start) count(start, <i32>(at - start), hasKey, key, keySize);
    start = at + 1;
  }
  return block(20); // no error, and `done`
}

/// There is no timer that could fire.
export function fire(timer: i32, key: usize, keySize: i32, at: i64): usize {
  return block(16);
}

function count(word: usize, wordSize: i32, hasKey: bool, key: usize, keySize: i32): void {
  const found = block(12);
  getEntry(WORDS, word, wordSize, found);
  const before = load<u8>(found) ? String.UTF8.decodeUnsafe(load<u32>(found, 4), load<u32>(found, 8)) : "0";
  const count = String.UTF8.encode((I64.parseInt(before) + 1).toString());
  putEntry(WORDS, word, wordSize, changetype<usize>(count), count.byteLength);
  const line = String.UTF8.encode(String.UTF8.decodeUnsafe(word, wordSize) + " " + String.UTF8.decode(count));
  emit(0, hasKey, key, keySize, true, changetype<usize>(line), line.byteLength, false, 0, 0, 0);
}

/// The result of `process` for a record that is not taken.
function refuse(reason: string): usize {
  const result = block(20);
  store<u8>(result, 1, 4); // `refuse`
  store<u8>(result, DEAD_LETTER, 8);
  putText(result + 12, reason);
  return result;
}

function putText(at: usize, text: string): void {
  const bytes = String.UTF8.encode(text);
  putList(at, changetype<usize>(bytes), bytes.byteLength);
}

function putList(at: usize, list: usize, length: i32): void {
  store<u32>(at, list);
  store<u32>(at, length, 4);
}

/// Zeroed memory. With the runtime `minimal` nothing is freed before `__collect` is called.
function block(size: i32): usize {
  return changetype<usize>(new ArrayBuffer(size));
}

/// The host asks for memory for what it gives.
export function cabi_realloc(old: usize, oldSize: i32, align: i32, size: i32): usize {
  const fresh = block(size);
  memory.copy(fresh, old, min(oldSize, size));
  return fresh;
}

/// The host has read the result: what the call took is freed.
export function cabi_post_describe(result: usize): void { __collect(); }
export function cabi_post_open(result: usize): void { __collect(); }
export function cabi_post_process(result: usize): void { __collect(); }
export function cabi_post_fire(result: usize): void { __collect(); }

/// What AssemblyScript calls if the program is wrong.
export function aborted(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}
