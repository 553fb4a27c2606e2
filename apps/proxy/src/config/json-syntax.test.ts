import { expect, test } from "vitest";
import { findJsonSyntaxError } from "./json-syntax.ts";

test.each([
  ["", 1, 1, "expected a value, found the end of the file"],
  ["{", 1, 2, "expected a name in double quotes, found the end of the file"],
  ['{\n  "port": 1\n  "host": "x"\n}', 3, 3, "expected a comma or }, found '\"'"],
  ['{\n  "port": 1,\n}', 2, 12, "a comma must not follow the last item before }"],
  ["[1, 2,]", 1, 6, "a comma must not follow the last item before ]"],
  ["{port: 1}", 1, 2, "expected a name in double quotes, found 'p'"],
  ['{"port" 1}', 1, 9, "expected a colon, found '1'"],
  ['{"port": }', 1, 10, "expected a value, found '}'"],
  ['{"port": 01}', 1, 11, "expected a comma or }, found '1'"],
  ['{"host": "x}', 1, 10, "this string has a line break, a wrong escape or no closing quote"],
  ["{\"host\": 'x'}", 1, 10, "expected a value, found '''"],
  ["{} x", 1, 4, "expected the end of the file, found 'x'"],
  ["// comment\n{}", 1, 1, "expected a value, found '/'"],
])("%j: line %d, column %d", (json, line, column, reason) => {
  expect(() => JSON.parse(json)).toThrow(SyntaxError);
  expect(findJsonSyntaxError(json)).toEqual({ line, column, reason });
});

test.each([
  ['{\n  "port": 1,\n  "port": 2\n}', 3, 3, '"port" is in this object twice'],
  ['{"a": [{"b": {}}, {"b": 1, "\\u0062": {}}]}', 1, 28, '"\\u0062" is in this object twice'],
  ['{"__proto__": 1, "__proto__": 2}', 1, 18, '"__proto__" is in this object twice'],
])(
  "a name that occurs twice in an object is an error, although JSON.parse accepts it: %j",
  (json, line, column, reason) => {
    expect(JSON.parse(json)).toBeDefined();
    expect(findJsonSyntaxError(json)).toEqual({ line, column, reason });
  },
);

test.each(['{"a":[1,-2.5e3,true,null,{"b":"\\u00e9\\n"}],"b":{"a":1}}', " [ ] ", "{ }", '"x"', "0"])(
  "%s has no syntax error",
  (json) => {
    expect(JSON.parse(json)).toBeDefined();
    expect(findJsonSyntaxError(json)).toBeNull();
  },
);

test.each([
  ["lists", "[", "]", 65],
  ["objects", '{"a":', "}", 321],
  ["both, with a line for each", '[{"a":\n', "}]", 1],
])("64 nested %s are accepted, and one more is an error at its position", (_name, open, close, column) => {
  const perTurn = open.replaceAll(/[^[{]/g, "").length;
  const nested = (turns: number) => `${open.repeat(turns)}1${close.repeat(turns)}`;
  expect(findJsonSyntaxError(nested(64 / perTurn))).toBeNull();
  const line = perTurn === 1 ? 1 : 33;
  for (const turns of [64 / perTurn + 1, 100_000]) {
    const reason = "this is nested too deeply, in 64 objects and lists";
    expect(findJsonSyntaxError(nested(turns))).toEqual({ line, column, reason });
  }
});

test("many lists and objects side by side do not count as nesting", () => {
  expect(findJsonSyntaxError(`[${'[{"a":[]}],'.repeat(1_000)}1]`)).toBeNull();
});
