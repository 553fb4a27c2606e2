import { expect, test } from "vitest";
import { parseDictionary, parseItems } from "./structured-field.ts";

test("a dictionary's members are read, the last of a name counts, parameters are left out", () => {
  const members = parseDictionary(
    'max-age=10;x="y", no-store, private="a, b" ,\tq=0.5, list=(1 "b";p), no-store=?0, bytes=:aGk=:',
  );
  expect([...(members ?? [])].map(([name, { value }]) => [name, value])).toEqual([
    ["max-age", 10],
    ["private", "a, b"],
    ["q", 0.5],
    ["list", ""],
    ["no-store", false],
    ["bytes", ":aGk=:"],
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
])("what does not parse is no dictionary: %j", (text) => {
  expect(parseDictionary(text)).toBeNull();
});

test("a list of strings is read, escapes undone", () => {
  expect(parseItems(' "a", "b\\"c";p=1 , token ')).toEqual([
    { kind: "string", value: "a" },
    { kind: "string", value: 'b"c' },
    { kind: "token", value: "token" },
  ]);
  expect(parseItems('"a" "b"')).toBeNull();
  expect(parseItems("")).toEqual([]);
});
