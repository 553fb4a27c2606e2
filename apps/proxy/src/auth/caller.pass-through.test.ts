import { expect, test } from "vitest";
import { testDigests, testPepper } from "../../test/support/test-proxy.ts";
import { createPassThrough } from "./caller.ts";

const create = () => createPassThrough({ digests: testDigests, pepper: testPepper });

test("an accepted key is remembered however many made-up keys are tried, even if it is not used in the meantime", () => {
  const callers = create();
  const { keyId } = callers.principalOf("sk-accepted");
  callers.confirm("sk-accepted");
  for (let count = 0; count < 20_001; count++) callers.principalOf(`sk-made-up-${count}`);
  expect([callers.knows("sk-accepted"), callers.knows("sk-made-up-20000")]).toEqual([true, false]);
  expect(callers.principalOf("sk-accepted").keyId).toBe(keyId);
});

test("a key that the upstream refuses is forgotten", () => {
  const callers = create();
  callers.confirm("sk-1");
  callers.confirm("sk-2");
  callers.forget("sk-1");
  expect([callers.knows("sk-1"), callers.knows("sk-2")]).toEqual([false, true]);
});

test("when there are too many accepted keys, the ones in use are remembered", () => {
  const callers = create();
  callers.confirm("sk-used");
  for (let count = 0; count < 20_000; count++) {
    callers.confirm(`sk-accepted-${count}`);
    expect(callers.knows("sk-used")).toBe(true);
  }
  expect(callers.knows("sk-accepted-0")).toBe(false);
});
