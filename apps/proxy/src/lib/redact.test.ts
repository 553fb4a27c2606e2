import { expect, test } from "vitest";
import { redact } from "./redact.ts";

test.each([
  ["redis://user:pa/ss@host:6379 refused", "redis://***@host:6379 refused"],
  ["redis://user:p@ss@host:6379", "redis://***@host:6379"],
  ["valkey://:secret@host", "valkey://***@host"],
  ["authorization=Bearer%20abc.def", "authorization=Bearer ***"],
  ["Authorization: Basic abc==", "Authorization: Basic ***"],
  ["cookie%20lek_abc_def", "cookie%20lek_***"],
  ["foo_lek_abc_d-f and more", "foo_lek_*** and more"],
  ["GET https://host/path without a user", "GET https://host/path without a user"],
])("text that looks like a secret in %j is left out", (text, redacted) => {
  expect(redact(text)).toBe(redacted);
});

test.each(["a.", "a://", "bearer ", "eyJ-", "lek_"])("a long text of %j is redacted in linear time", (part) => {
  // A pattern that reads the text again from each of its places would exceed the time of a test here.
  expect(redact(part.repeat(200_000)).length).toBeGreaterThan(0);
});
