import { expect, test } from "vitest";
import { expiryOf } from "./policy.ts";

const now = 1_000;

test("any of several policies may deny a tool immediately, and the earliest deadline counts", () => {
  const slow = { deniedTools: ["Web*"], deadlineMs: 60_000 };
  const fast = { deniedTools: [], deadlineMs: 10_000 };
  expect(expiryOf([slow, fast, null, undefined], "Bash", now)).toEqual({ at: now + 10_000, policy: "deadline" });
  expect(expiryOf([fast, slow], "WebFetch", now)).toEqual({ at: now, policy: "denied_tool" });
});

test("a request waits if no policy applies to it", () => {
  expect(expiryOf([], "Bash", now)).toBeNull();
  expect(expiryOf([{ deniedTools: ["bash", "Bas"], deadlineMs: null }], "Bash", now)).toBeNull();
});
