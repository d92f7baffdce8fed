// Counts the records of each key.
import { emit, Event, Kind, plugin, Refusal, Store } from "./sandbar";

const total = new Store("total", Kind.Value);

function process(event: Event): Refusal | null {
  const count = I64.parseInt(total.get() || "0") + 1;
  total.put(count.toString());
  emit(event.key, count.toString());
  return null;
}

plugin.name = "{{name}}";
plugin.version = "0.1.0";
plugin.keepsKey = true;
plugin.process = process;
