// Passes the records whose number at a JSON pointer is high enough.
import { Json } from "./json";
import { deadLetter, Event, pass, plugin, Refusal } from "./sandbar";

let field = "", atLeast = 0.0;

function open(config: string): Refusal | null {
  const json = Json.read(config)!;
  field = json.get("field")!.text;
  atLeast = json.get("at-least")!.number;
  return null;
}

function process(event: Event): Refusal | null {
  const value = Json.of(event.value);
  if (!value) return deadLetter("the value is not JSON");
  const number = value.at(field);
  if (number && number.isNumber && number.number >= atLeast) pass(event);
  return null;
}

plugin.name = "{{name}}";
plugin.version = "0.1.0";
plugin.keepsKey = plugin.headers = true;
plugin.configSchema = `{"type": "object", "required": ["field", "at-least"], "additionalProperties": false,
  "properties": {"field": {"type": "string", "pattern": "^(/.*)?$"}, "at-least": {"type": "number"}}}`;
plugin.open = open;
plugin.process = process;
