import { expect, test } from "vitest";
import { parseCacheControl } from "./cache-control.ts";

function names(value: string): string[] {
  return [...parseCacheControl(value).keys()];
}

test("directive names are case-insensitive and extensions are kept", () => {
  expect(names("No-StOrE, Foo=bar,, max-age=1 ,")).toEqual(["no-store", "foo", "max-age"]);
});

test("a directive inside a quoted string is ignored", () => {
  const directives = parseCacheControl('extension="max-age=3600, no-store", max-age=1');
  expect([...directives.keys()]).toEqual(["extension", "max-age"]);
  expect(directives.get("max-age")?.argument).toBe("1");
});

test("an unclosed quote does not hide the directives after it", () => {
  expect(names('a="unclosed, no-store')).toContain("no-store");
});

test("token and quoted arguments are equivalent, and escapes are decoded", () => {
  expect(parseCacheControl('max-age="36\\00"').get("max-age")).toMatchObject({ argument: "3600", isValid: true });
});

test.each(["max-age =1", "max-age= 1", "max-age=", "max-age=1 2", 'max-age="1"x'])(
  "a malformed directive is kept and marked invalid: %j",
  (value) => {
    expect(parseCacheControl(value).get("max-age")?.isValid).toBe(false);
  },
);

test("a directive with two different arguments is invalid; a repeated one is valid", () => {
  expect(parseCacheControl("max-age=1, max-age=2").get("max-age")?.isValid).toBe(false);
  expect(parseCacheControl("max-age=1, max-age=1").get("max-age")).toMatchObject({ argument: "1", isValid: true });
});

test("field lists of two equal directives are joined", () => {
  expect(parseCacheControl('no-cache="a", no-cache="b"').get("no-cache")?.argument).toBe("a,b");
});
