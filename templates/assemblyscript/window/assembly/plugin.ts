// Counts the records of each key in windows of one size, one behind the other.
import { Json } from "./json";
import { Clock, duration, emit, Event, Fired, Kind, pass, plugin, Refusal, Store, Timer, watermark } from "./sandbar";

const LATE = 1;
let size: i64 = 0, lateness: i64 = 0;

// How many records a window has, by the time at which it starts.
const windows = new Store("windows", Kind.Map);
const closing = new Timer("windows", Clock.EventTime, fire);

function open(config: string): Refusal | null {
  const json = Json.read(config)!, allowed = json.get("allowed-lateness");
  size = duration(json.get("size")!.text);
  if (allowed) lateness = duration(allowed.text);
  return null;
}

function process(event: Event): Refusal | null {
  const start = event.timestamp - ((event.timestamp % size) + size) % size, last = start + size - 1;
  if (last + lateness <= watermark()) {
    pass(event, LATE);
    return null;
  }
  const count = I64.parseInt(windows.getEntry(start.toString()) || "0") + 1;
  windows.putEntry(start.toString(), count.toString());
  closing.set(last); // fires at once if event time has passed it
  closing.set(last + lateness);
  return null;
}

function fire(fired: Fired): Refusal | null {
  const start = fired.at + 1 - size, count = windows.getEntry(start.toString());
  if (count) emit(fired.key, `{"start":${start},"end":${start + size},"count":${count}}`);
  windows.deleteEntry((start - lateness).toString());
  return null;
}

plugin.name = "{{name}}";
plugin.version = "0.1.0";
plugin.outputs = ["out", "late"];
plugin.keepsKey = plugin.headers = true;
plugin.configSchema = `{"type": "object", "required": ["size"], "additionalProperties": false, "properties": {
  "size": {"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h|d)$"},
  "allowed-lateness": {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$"}}}`;
plugin.open = open;
plugin.process = process;
