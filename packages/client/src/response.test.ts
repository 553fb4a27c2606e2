import { describe, expect, test, vi } from "vitest";
import { describeConnectionFailure, readText, serverTimeMs } from "./response.ts";

const url = "https://gateway.example:8787/letta/v1/environments?after=env-1";

/** An error with the `code` that a platform gives it. */
function coded(code: string, message = "failed"): Error {
  return Object.assign(new Error(message), { code });
}

describe("descriptions of connection failures", () => {
  test.each<[string, unknown, string]>([
    ["Node", new TypeError("fetch failed", { cause: coded("ECONNREFUSED") }), "connection refused"],
    ["Bun", coded("ConnectionRefused", "Unable to connect"), "connection refused"],
    [
      "Deno",
      new TypeError(
        "error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)",
      ),
      "connection refused",
    ],
    ["Node", new TypeError("fetch failed", { cause: coded("ENOTFOUND") }), "host name not found"],
    ["Deno", new TypeError("client error (Connect): dns error: failed to lookup"), "host name not found"],
    ["Node", new TypeError("fetch failed", { cause: coded("UND_ERR_CONNECT_TIMEOUT") }), "connection timed out"],
    ["Node", new TypeError("fetch failed", { cause: coded("EHOSTUNREACH") }), "host unreachable"],
    ["Node", new TypeError("terminated", { cause: coded("UND_ERR_SOCKET", "other side closed") }), "connection closed"],
    ["Bun", coded("ECONNRESET", "The socket connection was closed unexpectedly"), "connection closed"],
    ["Node", new TypeError("fetch failed", { cause: coded("CERT_HAS_EXPIRED") }), "TLS certificate refused"],
    ["Node", new TypeError("fetch failed", { cause: coded("DEPTH_ZERO_SELF_SIGNED_CERT") }), "TLS certificate refused"],
    ["Chromium", new TypeError("Failed to fetch"), "no response"],
    ["a middleware", new Error("token s3cr3t is not valid"), "no response"],
    ["a middleware that throws no error", "s3cr3t", "no response"],
  ])("a connection failure of %s is described by its address and the words: %s", (_platform, cause, reason) => {
    expect(describeConnectionFailure(url, cause)).toBe(`cannot reach https://gateway.example:8787: ${reason}`);
  });

  test.each<[string, unknown]>([
    ["a symbol", Symbol("s3cr3t")],
    ["an object without a prototype", Object.create(null)],
    ["an error with such a cause", new TypeError("fetch failed", { cause: Object.create(null) })],
    [
      "an object whose text throws",
      {
        toString: () => {
          throw new Error("s3cr3t");
        },
      },
    ],
  ])("a connection failure is described although it has no text: %s", (_case, cause) => {
    expect(describeConnectionFailure(url, cause)).toBe("cannot reach https://gateway.example:8787: no response");
  });

  test("a response that breaks off is distinguished from an unreachable server", () => {
    const closed = new TypeError("terminated", { cause: coded("UND_ERR_SOCKET", "other side closed") });
    const prefix = "cannot read the response from https://gateway.example:8787";
    expect(describeConnectionFailure(url, closed, true)).toBe(`${prefix}: connection closed`);
    expect(describeConnectionFailure(url, new Error("s3cr3t"), true)).toBe(`${prefix}: it broke off`);
  });

  test("an error that is its own cause is described", () => {
    const cause = new Error("loop");
    cause.cause = cause;
    expect(describeConnectionFailure(url, cause)).toContain("no response");
  });
});

describe("readText", () => {
  const signal = new AbortController().signal;

  test("readText returns the text of a body up to the limit, and null beyond it", async () => {
    expect(await readText(new Response("12345"), 5, signal)).toBe("12345");
    expect(await readText(new Response("12345"), 4, signal)).toBeNull();
    expect(await readText(new Response(null), 5, signal)).toBe("");
  });

  test("readText reads nothing once the signal is aborted", async () => {
    await expect(readText(new Response("12345"), 5, AbortSignal.abort())).rejects.toThrow("abort");
  });
});

test.each(["Tue, 24 Nov 2026 12:00:30 GMT", "Tuesday, 24-Nov-26 12:00:30 GMT", "Tue Nov 24 12:00:30 2026"])(
  "the server's Date is read as GMT, whatever the client's time zone: %s",
  (date) => {
    vi.stubEnv("TZ", "America/New_York");
    expect(serverTimeMs(new Response(null, { headers: { date } }))).toBe(Date.UTC(2026, 10, 24, 12, 0, 30));
    vi.unstubAllEnvs();
  },
);
