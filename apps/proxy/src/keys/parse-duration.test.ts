import { expect, test } from "vitest";
import { parseDuration } from "./parse-duration.ts";

test.each([
  ["30d", 2_592_000_000],
  ["1h", 3_600_000],
  ["15m", 900_000],
  ["30s", 30_000],
  ["0s", 0],
])("%s is %d ms", (text, durationMs) => {
  expect(parseDuration(text)).toBe(durationMs);
});

test.each(["", "30", "d", "-1d", "1.5h", "1 h", "1H", "1w", "99999999d", "1e3s", "constructor"])(
  "%j is no duration",
  (text) => {
    expect(parseDuration(text)).toBeNull();
  },
);
