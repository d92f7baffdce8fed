// The plugin `every`, as far as the cases go: `{"do": "count"}` or `{"do": "timer"}` says what it does.
import { Json } from "./json";
import { Clock, deadLetter, emit, Event, fail, Fired, Kind, plugin, Refusal, Store, Timer } from "./sandbar";

const count = new Store("count", Kind.Value);
const later = new Timer("later", Clock.EventTime, fire);
let counts = false;

function open(config: string): Refusal | null {
  const wanted = Json.read(config)!.get("do")!.text;
  counts = wanted == "count";
  return counts || wanted == "timer" ? null : fail(`unknown: ${wanted}`);
}

function process(event: Event): Refusal | null {
  if (!event.key) return deadLetter("the record has no key");
  if (counts) emit(event.key, next().toString());
  else later.set(event.timestamp + 1000);
  return null;
}

function fire(fired: Fired): Refusal | null {
  emit(fired.key, `${fired.at} ${next()}`);
  return null;
}

function next(): i64 {
  const n = I64.parseInt(count.get() || "0") + 1;
  count.put(n.toString());
  return n;
}

plugin.name = "every";
plugin.version = "0.1.0";
plugin.headers = true;
plugin.configSchema = `{"type": "object", "required": ["do"], "properties": {"do": {"type": "string"}}}`;
plugin.open = open;
plugin.process = process;
