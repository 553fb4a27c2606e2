import { expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.ts";

test("canonicalJson returns equal texts for equal values, regardless of the order of members", () => {
  const left = JSON.parse('{"b":[1,{"d":null,"c":"x"}],"a":1.0}');
  const right = JSON.parse('{"a":1e0,"b":[1,{"c":"\\u0078","d":null}]}');
  expect(canonicalJson(left)).toBe('{"a":1,"b":[1,{"c":"x","d":null}]}');
  expect(canonicalJson(right)).toBe(canonicalJson(left));
});

test("canonicalJson returns different texts for different values", () => {
  const values = [
    null,
    "null",
    0,
    "0",
    false,
    [],
    {},
    [[]],
    { a: [] },
    { a: {} },
    ["a", "b"],
    ["a,b"],
    ["b", "a"],
    { a: "b" },
  ];
  expect(new Set(values.map(canonicalJson)).size).toBe(values.length);
});

test("canonicalJson sorts members by UTF-16 code units, as in the example of RFC 8785 section 3.2.3", () => {
  const names = ["\u20ac", "\r", "\ufb33", "1", "\ud83d\ude00", "\u0080", "\u00f6"];
  const value = Object.fromEntries(names.map((name) => [name, 0]));
  const sorted = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\ud83d\ude00", "\ufb33"];
  expect(canonicalJson(value)).toBe(`{${sorted.map((name) => `${JSON.stringify(name)}:0`).join(",")}}`);
});
