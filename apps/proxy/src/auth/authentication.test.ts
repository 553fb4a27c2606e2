import { expect, test } from "vitest";
import { readBearerToken } from "./authentication.ts";

test.each(["Bearer abc", "bearer abc", "BEARER   abc"])("the token is read from %j", (value) => {
  expect(readBearerToken(value)).toEqual({ kind: "token", token: "abc" });
});

test.each([null, ""])("an Authorization field of %j means that there is no credential", (value) => {
  expect(readBearerToken(value)).toEqual({ kind: "absent" });
});

test.each(["Basic abc", "basic abc", "Token abc", 'Digest username="a", realm="b"', "Basic abc, Bearer def"])(
  "an Authorization field of %j has another scheme, which is not a wrong token",
  (value) => {
    expect(readBearerToken(value)).toEqual({ kind: "other_scheme" });
  },
);

test.each([
  "Basic",
  "Bearer",
  "Bearer ",
  "Bearer abc, Bearer def",
  "Bearer abc def",
  "Bearer abc,",
  "Bearer a\u0000c",
  "Bearer schlüssel",
  "abc",
])("the Authorization field %j is malformed, because another parser could read another token", (value) => {
  expect(readBearerToken(value)).toEqual({ kind: "malformed" });
});
