import assert from "node:assert/strict";
import test from "node:test";
import { start } from "./host.js";

test("each key has a count of its own", () => {
  const host = start();
  for (const key of ["a", "b", "a"]) host.push(key, "x", 0);
  assert.deepEqual(host.outputs.map(({ key, value }) => key + value), ["a1", "b1", "a2"]);
});
