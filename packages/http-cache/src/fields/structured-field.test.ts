import process from "node:process";
import { expect, test } from "vitest";
import { parseDictionary, parseItems } from "./structured-field.ts";

test("parses dictionary members; the last value of a name wins at the place of the first, and parameters are dropped", () => {
  const members = parseDictionary(
    'max-age=10;x="y", no-store, private="a, b" ,\tq=0.5, list=(1 "b";p), no-store=?0, bytes=:aGk=:, shown=%"f%c3%bc"',
  );
  expect([...(members ?? [])].map(([name, { value }]) => [name, value])).toEqual([
    ["max-age", 10],
    ["no-store", false],
    ["private", "a, b"],
    ["q", 0.5],
    ["list", ""],
    ["bytes", "aGk=:"],
    ["shown", `"f\u00fc"`],
  ]);
});

test.each([
  "max-age=10, &&&&&",
  "MaX-aGe=1",
  "a=1,",
  "a=",
  "a =1",
  "a= 1",
  'a="unclosed',
  'a="\u00e9"',
  "a=1234567890123456",
  "a=1.2345",
  "a=(1",
  "a=?2",
  "a;=1",
  "a=:=aGk=:",
  "a=:a=Gk=:",
  'a=%"f%C3%BC"',
  'a=%"%c3("',
  'a=%"%ed%a0%80"',
])("a malformed dictionary is null: %j", (text) => {
  expect(parseDictionary(text)).toBeNull();
});

test("parses a list of strings and decodes escapes", () => {
  expect(parseItems(' "a", "b\\"c";p=1 , token ')).toEqual([
    { kind: "string", value: "a" },
    { kind: "string", value: 'b"c' },
    { kind: "token", value: "token" },
  ]);
  expect(parseItems('"a" "b"')).toBeNull();
  expect(parseItems("")).toEqual([]);
});

test("a field is parsed in time that is proportional to its length, whatever a server sends", () => {
  const before = process.cpuUsage();
  for (const hostile of [`a${" ".repeat(100_000)}b`, `a="${'\\"'.repeat(100_000)}`, `a=(${"1 ".repeat(100_000)}`]) {
    expect(parseDictionary(hostile)).toBeNull();
  }
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});
