import { expect, test } from "vitest";
import { isSurelyUnsent } from "./is-surely-unsent.ts";

/** A failure as `fetch` reports it: a TypeError with the reason as its cause. */
function fetchFailure(code: string): Error {
  return new TypeError("fetch failed", { cause: Object.assign(new Error("reason"), { code }) });
}

test.each([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
  "CERT_HAS_EXPIRED",
  "ERR_TLS_CERT_ALTNAME_INVALID",
])("%s happens before anything is sent", (code) => {
  expect(isSurelyUnsent(fetchFailure(code))).toBe(true);
});

test.each(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_HEADERS_TIMEOUT", "ETIMEDOUT", "anything"])(
  "%s may happen after something was sent",
  (code) => {
    expect(isSurelyUnsent(fetchFailure(code))).toBe(false);
  },
);

test("several addresses must all have been unreachable", () => {
  const refused = Object.assign(new Error("a"), { code: "ECONNREFUSED" });
  const reset = Object.assign(new Error("b"), { code: "ECONNRESET" });
  expect(isSurelyUnsent(new TypeError("fetch failed", { cause: new AggregateError([refused, refused]) }))).toBe(true);
  expect(isSurelyUnsent(new TypeError("fetch failed", { cause: new AggregateError([refused, reset]) }))).toBe(false);
});

test("what is no error with a code counts as sent", () => {
  for (const cause of [undefined, null, "ECONNREFUSED", new Error("x"), { code: "ECONNREFUSED" }]) {
    expect(isSurelyUnsent(cause)).toBe(false);
  }
});
