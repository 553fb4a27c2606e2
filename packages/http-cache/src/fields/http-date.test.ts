import fc from "fast-check";
import { expect, test } from "vitest";
import { formatHttpDate, parseHttpDate } from "./http-date.ts";

const now = Date.UTC(2026, 10, 24);
const expected = Date.UTC(1994, 10, 6, 8, 49, 37);

test.each([
  "Sun, 06 Nov 1994 08:49:37 GMT",
  "Sunday, 06-Nov-94 08:49:37 GMT",
  "Sun Nov  6 08:49:37 1994",
  "SUN, 06 nov 1994 08:49:37 gMt",
])("parses all three HTTP date formats in any letter case: %s", (text) => {
  expect(parseHttpDate(text, now)).toBe(expected);
});

test("a two-digit year is at most 50 years in the future", () => {
  expect(parseHttpDate("Thursday, 18-Aug-50 02:01:18 GMT", now)).toBe(Date.UTC(2050, 7, 18, 2, 1, 18));
  expect(parseHttpDate("Tuesday, 18-Aug-76 02:01:18 GMT", now)).toBe(Date.UTC(2076, 7, 18, 2, 1, 18));
  expect(parseHttpDate("Thursday, 18-Aug-77 02:01:18 GMT", now)).toBe(Date.UTC(1977, 7, 18, 2, 1, 18));
});

test.each([
  "",
  "0",
  "Thu, 18 Aug 2050 02:01:18 UTC",
  "Thu, 18 Aug 50 02:01:18 GMT",
  "Thu 18 Aug 2050 02:01:18 GMT",
  "Thu, 18  Aug  2050 02:01:18 GMT",
  "Thu, 18-Aug-2050 02:01:18 GMT",
  "Thu, 18 Aug 2050 2:01:18 GMT",
  "Thu, 18 Aug 2050 02.01.18 GMT",
  "Thu, 31 Jun 2050 02:01:18 GMT",
  "Thu, 18 Abc 2050 02:01:18 GMT",
  "Thu, 18 Aug 2050 24:01:18 GMT",
  "Thu, 18 Aug 2050 02:60:18 GMT",
  "2050-08-18T02:01:18Z",
])("any other text is not a date: %j", (text) => {
  expect(parseHttpDate(text, now)).toBeNull();
});

test("a leap second and the years before 100 are dates", () => {
  expect(parseHttpDate("Sat, 31 Dec 2016 23:59:60 GMT", now)).toBe(Date.UTC(2017, 0, 1));
  expect(parseHttpDate("Sat, 01 Jan 0050 00:00:00 GMT", now)).toBe(Date.parse("0050-01-01T00:00:00Z"));
});

test("every formatted date parses to the same time", () => {
  const date = fc.date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59Z"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(date, (value) => {
      const seconds = Math.floor(value.getTime() / 1_000) * 1_000;
      expect(formatHttpDate(value.getTime())).toBe(value.toUTCString());
      expect(parseHttpDate(formatHttpDate(seconds), now)).toBe(seconds);
    }),
  );
});
