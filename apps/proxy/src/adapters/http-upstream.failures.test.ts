import { expect, test } from "vitest";
import { failedBeforeSend } from "./http-upstream.ts";

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
])("%s is a failure before anything was sent", (code) => {
  expect(failedBeforeSend(fetchFailure(code))).toBe(true);
});

test.each(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_HEADERS_TIMEOUT", "ETIMEDOUT", "anything"])(
  "%s counts as sent",
  (code) => {
    expect(failedBeforeSend(fetchFailure(code))).toBe(false);
  },
);

test("a failure on several addresses is before the send only if no address accepted a connection", () => {
  const refused = Object.assign(new Error("a"), { code: "ECONNREFUSED" });
  const reset = Object.assign(new Error("b"), { code: "ECONNRESET" });
  expect(failedBeforeSend(new TypeError("fetch failed", { cause: new AggregateError([refused, refused]) }))).toBe(true);
  expect(failedBeforeSend(new TypeError("fetch failed", { cause: new AggregateError([refused, reset]) }))).toBe(false);
});

test("a value that is not an error with a code counts as sent", () => {
  for (const cause of [undefined, null, "ECONNREFUSED", new Error("x"), { code: "ECONNREFUSED" }]) {
    expect(failedBeforeSend(cause)).toBe(false);
  }
});
