import { expect, test } from "vitest";
import { parseDuration } from "./parse-duration.ts";

test.each([
  ["500ms", 500],
  ["30s", 30_000],
  ["5m", 300_000],
  ["2h", 7_200_000],
  ["1d", 86_400_000],
])("%s is %d ms", (text, durationMs) => {
  expect(parseDuration("--timeout", text)).toBe(durationMs);
});

test.each(["", "30", "0s", "-1s", "1.5s", "1w", "25d", "99999999d", "1s "])(
  "'%s' is refused by option and rule",
  (text) => {
    expect(() => parseDuration("--timeout", text)).toThrow(/^--timeout must be a duration from 1ms to 24d/);
  },
);
