import { expect, test } from "vitest";
import { readBearerToken } from "./authentication.ts";

test.each(["Bearer abc", "bearer abc", "BEARER   abc"])("the token is read from %j", (value) => {
  expect(readBearerToken(value)).toEqual({ kind: "token", token: "abc" });
});

test.each([null, ""])("%j is no credential at all", (value) => {
  expect(readBearerToken(value)).toEqual({ kind: "absent" });
});

test.each([
  "Basic abc",
  "Bearer",
  "Bearer ",
  "Bearer abc, Bearer def",
  "Bearer abc def",
  "Bearer abc,",
  "Bearer a\u0000c",
  "Bearer schlüssel",
  "abc",
])("%j is malformed: another reader could take it for another token", (value) => {
  expect(readBearerToken(value)).toEqual({ kind: "malformed" });
});
