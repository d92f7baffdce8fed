import assert from "node:assert/strict";
import test from "node:test";
import { start } from "./host.js";

test("a number that is high enough passes", () => {
  const host = start({ field: "/ms", "at-least": 5 });
  for (const ms of [4, 5, 6]) host.push("a", `{"ms":${ms}}`, 0);
  assert.deepEqual(host.outputs.map(({ value }) => value), ['{"ms":5}', '{"ms":6}']);
});

test("what is not JSON is refused", () => {
  const host = start({ field: "/ms", "at-least": 5 });
  assert.equal(host.push("a", '{"ms":', 0), "the value is not JSON");
});
