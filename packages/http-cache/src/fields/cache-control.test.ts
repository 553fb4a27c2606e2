import { expect, test } from "vitest";
import { parseCacheControl } from "./cache-control.ts";

function names(value: string): string[] {
  return [...parseCacheControl(value).keys()];
}

test("names count in any case, and extensions are kept", () => {
  expect(names("No-StOrE, Foo=bar,, max-age=1 ,")).toEqual(["no-store", "foo", "max-age"]);
});

test("a directive inside a quoted string is none", () => {
  const directives = parseCacheControl('extension="max-age=3600, no-store", max-age=1');
  expect([...directives.keys()]).toEqual(["extension", "max-age"]);
  expect(directives.get("max-age")?.argument).toBe("1");
});

test("a quote that is never closed hides no directive behind it", () => {
  expect(names('a="unclosed, no-store')).toContain("no-store");
});

test("token and quoted form of an argument are the same, escapes undone", () => {
  expect(parseCacheControl('max-age="36\\00"').get("max-age")).toMatchObject({ argument: "3600", isValid: true });
});

test.each(["max-age =1", "max-age= 1", "max-age=", "max-age=1 2", 'max-age="1"x'])(
  "a malformed directive stays, marked: %j",
  (value) => {
    expect(parseCacheControl(value).get("max-age")?.isValid).toBe(false);
  },
);

test("a directive with two arguments is invalid, repeated it is not", () => {
  expect(parseCacheControl("max-age=1, max-age=2").get("max-age")?.isValid).toBe(false);
  expect(parseCacheControl("max-age=1, max-age=1").get("max-age")).toMatchObject({ argument: "1", isValid: true });
});

test("lists of fields in two directives are one list", () => {
  expect(parseCacheControl('no-cache="a", no-cache="b"').get("no-cache")?.argument).toBe("a,b");
});
