// Pairs records of two inputs that have the same key and lie near each other in time.
import { Json } from "./json";
import {
  Clock, deadLetter, duration, emit, Event, fail, Fired, Kind, pass, plugin, Refusal, Store, Timer, watermark,
} from "./sandbar";

const LEFT = 0, LATE = 1;
// The right record lies from `before` to `after` the left one.
let before: i64 = 0, after: i64 = 0;

// What is known of a key: an array of [input, time, value], in the order of time.
const join = new Store("join", Kind.Value);
const leaving = new Timer("join", Clock.EventTime, fire);

class Row {
  constructor(readonly input: i64, readonly time: i64, readonly value: string) {}
  /// The last moment at which a partner can come.
  get until(): i64 { return this.time + (this.input == LEFT ? after : before); }
  toString(): string { return `[${this.input},${this.time},${this.value}]`; }
}

function open(config: string): Refusal | null {
  const within = Json.read(config)!.get("within")!, first = within.get("before"), last = within.get("after");
  if (first) before = duration(first.text);
  if (last) after = duration(last.text);
  return before + after < 0 ? fail("`before` and `after` of `within` are together negative") : null;
}

function process(event: Event): Refusal | null {
  const value = Json.of(event.value);
  if (!value) return deadLetter("the value is not JSON");
  if (event.timestamp <= watermark()) {
    pass(event, LATE);
    return null;
  }
  const row = new Row(event.input, event.timestamp, value.toString()), rows = kept();
  let place = 0;
  for (let i = 0; i < rows.length; i++) {
    if (isPair(row, rows[i])) put(event.key, row, rows[i]);
    if (rows[i].time <= row.time) place = i + 1;
  }
  if (row.until > watermark()) {
    keep(rows.slice(0, place).concat([row]).concat(rows.slice(place)));
    leaving.set(row.until);
  }
  return null;
}

function isPair(one: Row, other: Row): bool {
  const left = one.input == LEFT ? one : other, right = one.input == LEFT ? other : one;
  return left.input != right.input && left.time - before <= right.time && right.time <= left.time + after;
}

function put(key: ArrayBuffer | null, one: Row, other: Row): void {
  const left = one.input == LEFT ? one : other, right = one.input == LEFT ? other : one;
  emit(key, `{"left":${left.value},"right":${right.value}}`, max(left.time, right.time));
}

function fire(fired: Fired): Refusal | null {
  const rows = kept();
  const stay: Row[] = [];
  for (let i = 0; i < rows.length; i++) if (rows[i].until > fired.at) stay.push(rows[i]);
  keep(stay);
  return null;
}

function kept(): Row[] {
  const rows = Json.read(join.get() || "[]")!.parts;
  return rows.map<Row>((row) => new Row(row.parts[0].integer, row.parts[1].integer, row.parts[2].toString()));
}

function keep(rows: Row[]): void {
  if (rows.length) join.put("[" + rows.join(",") + "]");
  else join.delete();
}

plugin.name = "{{name}}";
plugin.version = "0.1.0";
plugin.inputs = ["left", "right"];
plugin.outputs = ["out", "late"];
plugin.keepsKey = plugin.headers = true;
plugin.configSchema = `{"type": "object", "required": ["kind", "within"], "additionalProperties": false, "properties": {
  "kind": {"const": "inner"},
  "within": {"type": "object", "additionalProperties": false, "properties": {
    "before": {"type": "string", "pattern": "^-?[0-9]{1,9}(ms|s|m|h|d)$"},
    "after": {"type": "string", "pattern": "^-?[0-9]{1,9}(ms|s|m|h|d)$"}}}}}`;
plugin.open = open;
plugin.process = process;
