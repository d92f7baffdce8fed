import assert from "node:assert/strict";
import test from "node:test";
import { start } from "./host.js";

test("a window is put out when it is over, and again for a late record", () => {
  const host = start({ size: "10s", "allowed-lateness": "5s" });
  host.push("a", "x", 1000);
  host.advance(9999);
  host.push("a", "x", 2000);
  host.advance(14999);
  host.push("a", "too late", 3000);
  assert.deepEqual(host.outputs.map(({ output, value }) => `${output} ${value}`), [
    '0 {"start":0,"end":10000,"count":1}',
    '0 {"start":0,"end":10000,"count":2}',
    "1 too late",
  ]);
  assert.equal(host.state.size, 0);
});
