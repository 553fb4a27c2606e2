import { expect, test } from "vitest";
import { formatAge, formatTime, parseDuration, parseTime } from "./time.ts";

test.each([
  ["500ms", 500],
  ["30s", 30_000],
  ["5m", 300_000],
  ["2h", 7_200_000],
  ["1d", 86_400_000],
  ["2w", 1_209_600_000],
  ["0s", 0],
])("the text '%s' is a duration of %d ms", (text, durationMs) => {
  expect(parseDuration(text)).toBe(durationMs);
});

test.each(["", "30", "-1s", "1.5s", "1y", "1 s", "1s ", "9999999999d", "d", "soon"])(
  "the text '%s' is not a duration",
  (text) => {
    expect(parseDuration(text)).toBeNull();
  },
);

const now = Date.UTC(2027, 0, 15, 12);

test.each([
  ["2w", now + 14 * 86_400_000],
  ["2027-01-31", Date.UTC(2027, 0, 31)],
  ["2027-01-31T18:30Z", Date.UTC(2027, 0, 31, 18, 30)],
  ["2027-01-31T18:30", Date.UTC(2027, 0, 31, 18, 30)],
  ["2027-01-31 18:30:05", Date.UTC(2027, 0, 31, 18, 30, 5)],
  ["2027-01-31T18:30:05.250+02:00", Date.UTC(2027, 0, 31, 16, 30, 5, 250)],
  ["2028-02-29", Date.UTC(2028, 1, 29)],
])(
  "the text '%s' is a time, where a duration counts from now and a date without an offset is in UTC",
  (text, timeMs) => {
    expect(parseTime(text, now, 1)).toBe(timeMs);
  },
);

test("a duration in the past is counted back from now", () => {
  expect(parseTime("2h", now, -1)).toBe(now - 7_200_000);
});

test.each([
  "",
  "2027-02-29",
  "2027-13-01",
  "2027-1-1",
  "31.01.2027",
  "2027-01-31T25:00Z",
  "2027-01-31T",
  "tomorrow",
  "2027",
])("the text '%s' is not a time", (text) => {
  expect(parseTime(text, now, 1)).toBeNull();
});

test("ages are in the largest whole unit, and a number that is not a time is shown unchanged", () => {
  expect([1, 40, 300, 10_800, 1_036_800].map((seconds) => formatAge(now - seconds * 1_000, now))).toEqual([
    "now",
    "40s ago",
    "5m ago",
    "3h ago",
    "12d ago",
  ]);
  expect([formatTime(now), formatTime(1e300)]).toEqual(["2027-01-15T12:00:00.000Z", "1e+300"]);
});
