import { expect, test } from "vitest";
import { testPolicy } from "../../test/support/test-check.ts";
import { validateRateLimitPolicy } from "./policy.ts";

test.each([
  [{}, null],
  [{ limit: 1_000, windowMs: 86_400_000, burst: 1_000 }, null],
  [{ name: "" }, "name"],
  [{ name: "naïve" }, "name"],
  [{ name: "a\nb" }, "name"],
  [{ limit: 0 }, "limit"],
  [{ limit: 1.5 }, "limit"],
  [{ limit: 1_000_001 }, "limit"],
  [{ burst: 0 }, "burst"],
  [{ burst: Number.NaN }, "burst"],
  [{ burst: 1e10 }, null],
  [{ limit: 1, windowMs: 31_536_000_000, burst: 72 }, "burst"],
  [{ windowMs: Infinity }, "windowMs"],
])("a policy is usable only while its arithmetic is exact: %j", (changes, member) => {
  const rule = validateRateLimitPolicy(testPolicy(changes));
  expect(rule === null ? null : rule.split(" ")[0]).toBe(member);
});
