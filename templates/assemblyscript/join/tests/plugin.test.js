import assert from "node:assert/strict";
import test from "node:test";
import { start } from "./host.js";

const LEFT = 0, RIGHT = 1;

test("records near each other in time come out as a pair", () => {
  const host = start({ kind: "inner", within: { after: "5s" } });
  host.push("a", '{ "order": 1 }', 1000, LEFT);
  host.push("a", '{"paid":1}', 6000, RIGHT);
  host.push("a", '{"paid":2}', 6001, RIGHT);
  assert.deepEqual(host.outputs.map(({ value }) => value), ['{"left":{"order":1},"right":{"paid":1}}']);
  host.advance(6001);
  assert.equal(host.state.size, 0);
});
