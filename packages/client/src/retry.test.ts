import {
  messageDeduplicationHeader as headerOfSchema,
  problemCodes,
  problemDefinitions,
} from "@letta-environments/schema";
import { describe, expect, test, vi } from "vitest";
import {
  isRepeatable,
  isUndelivered,
  messageDeduplicationHeader,
  readDeduplicationMs,
  readRetryAfterMs,
} from "./retry.ts";

test("the deduplication header has the name that the schema package gives it", () => {
  expect(messageDeduplicationHeader).toBe(headerOfSchema);
});

test("a send is repeated after every 5xx code that permits it, except a command's unknown outcome and the code of /readyz", () => {
  const permitted = problemCodes.filter(
    (code) => problemDefinitions[code].status >= 500 && problemDefinitions[code].retryable,
  );
  const attempt = { safety: "once", status: 503, shouldRetry: "true", deduplicates: false } as const;
  const unrepeated = permitted.filter((code) => !isRepeatable({ ...attempt, code }));
  expect(unrepeated.toSorted()).toEqual(["control_unknown", "not_ready"]);
});

const failed = { code: "http_error" } as const;

/** The codes in the table of the README which say that nothing was sent. */
const undelivered = [
  "audit_unavailable",
  "idempotency_unavailable",
  "issuer_unavailable",
  "key_store_unavailable",
  "limits_unavailable",
  "overloaded",
  "rate_limited",
  "shutting_down",
  "storage_unavailable",
  "upstream_timeout",
  "upstream_unreachable",
] as const;

describe("isRepeatable", () => {
  test.each([
    ["read", undefined, null, true],
    ["read", 408, null, true],
    ["read", 429, null, true],
    ["read", 500, null, true],
    ["read", 503, null, true],
    ["read", 404, null, false],
    ["read", 409, null, false],
    ["read", 503, "false", false],
    ["read", 400, "true", true],
    ["read", 500, "", true],
    ["read", 500, "maybe", false],
  ] as const)(
    "isRepeatable of %s with status %s and x-should-retry %s is %s, on every server",
    (safety, status, shouldRetry, expected) => {
      for (const deduplicates of [true, false])
        expect(isRepeatable({ ...failed, safety, status, shouldRetry, deduplicates })).toBe(expected);
    },
  );

  test.each([
    ["deduplicated", undefined, null, true],
    ["deduplicated", 429, null, true],
    ["deduplicated", 429, "false", false],
    ["deduplicated", 500, null, false],
    ["deduplicated", 504, null, false],
    ["deduplicated", 503, "true", true],
    ["once", undefined, null, false],
    ["once", 429, null, true],
    ["once", 502, null, false],
    ["once", 429, "true", true],
    ["once", 409, "true", false],
    ["once", 502, "true", false],
    ["once", 504, "true", false],
  ] as const)(
    "isRepeatable of %s with status %s and x-should-retry %s is %s on a server that deduplicates, and false on any other",
    (safety, status, shouldRetry, expected) => {
      expect(isRepeatable({ ...failed, safety, status, shouldRetry, deduplicates: true })).toBe(expected);
      expect(isRepeatable({ ...failed, safety, status, shouldRetry, deduplicates: false })).toBe(false);
    },
  );

  test.each([0, 200, 302, 307])(
    "x-should-retry: true repeats nothing after status %i, which is no error status",
    (status) => {
      for (const safety of ["read", "deduplicated", "once"] as const)
        expect(isRepeatable({ ...failed, safety, status, shouldRetry: "true", deduplicates: true })).toBe(false);
    },
  );

  test("queue_full repeats no send, even if a proxy has removed x-should-retry: false, since the queue is full for as long as turns run", () => {
    for (const safety of ["deduplicated", "once"] as const)
      for (const shouldRetry of [null, "true"]) {
        const attempt = { safety, code: "queue_full", status: 429, shouldRetry, deduplicates: true } as const;
        expect([isRepeatable(attempt), isUndelivered(attempt)]).toEqual([false, true]);
      }
  });

  test("deduplication covers ids of messages, so x-should-retry alone repeats no request without them", () => {
    const attempt = { safety: "once", status: 504, code: "control_unknown", shouldRetry: "true" } as const;
    expect(isRepeatable({ ...attempt, deduplicates: true })).toBe(false);
    expect(isUndelivered({ ...attempt, deduplicates: true })).toBe(false);
  });

  test("a problem which says that the message may have been delivered is repeated only if x-should-retry asks a server that deduplicates for it", () => {
    for (const [code, status] of [
      ["upstream_timeout", 504],
      ["rate_limited", 429],
      ["send_in_progress", 409],
    ] as const) {
      const attempt = { safety: "deduplicated", code, status, delivery: "unknown" } as const;
      expect(isRepeatable({ ...attempt, deduplicates: false, shouldRetry: "true" })).toBe(false);
      expect(isRepeatable({ ...attempt, deduplicates: true })).toBe(false);
      expect(isRepeatable({ ...attempt, deduplicates: true, shouldRetry: "true" })).toBe(true);
      expect(isRepeatable({ ...attempt, deduplicates: true, shouldRetry: "true", safety: "once" })).toBe(false);
    }
  });

  test("a problem with parts that were delivered repeats no send, whatever its code and headers say", () => {
    for (const safety of ["deduplicated", "once"] as const)
      for (const deduplicates of [true, false])
        for (const [code, status] of [...undelivered.map((each) => [each, 503] as const), ["http_error", 429] as const])
          for (const shouldRetry of [null, "true"]) {
            const attempt = { safety, status, code, deduplicates, shouldRetry, parts: { delivered: 1 } } as const;
            expect([isRepeatable(attempt), isUndelivered(attempt)]).toEqual([false, false]);
          }
  });

  test("a problem whose parts were not delivered, or one of a read, may be repeated", () => {
    const attempt = { status: 503, code: "overloaded", deduplicates: false } as const;
    expect(isRepeatable({ ...attempt, safety: "once", parts: { delivered: 0 } })).toBe(true);
    expect(isRepeatable({ ...attempt, safety: "read", parts: { delivered: 1 } })).toBe(true);
  });

  test("a problem whose code says that nothing was sent may be repeated, unless x-should-retry forbids it", () => {
    for (const safety of ["deduplicated", "once"] as const)
      for (const deduplicates of [true, false]) {
        const attempt = { safety, status: 503, code: "shutting_down", deduplicates } as const;
        expect(isRepeatable(attempt)).toBe(true);
        expect(isRepeatable({ ...attempt, shouldRetry: "true" })).toBe(true);
        expect(isRepeatable({ ...attempt, shouldRetry: "false" })).toBe(false);
      }
  });
});

describe("isUndelivered", () => {
  test.each([
    [undefined, null, false, false],
    [200, null, false, false],
    [301, null, false, false],
    [302, null, false, false],
    [303, null, false, false],
    [307, null, true, true],
    [308, null, true, true],
    [403, null, true, true],
    [404, "true", true, true],
    [408, null, false, false],
    [408, "true", false, false],
    [409, null, false, false],
    [409, "true", false, false],
    [499, null, false, false],
    [429, null, true, false],
    [500, null, false, false],
    [503, "true", true, false],
    [503, "false", false, false],
  ] as const)(
    "isUndelivered of status %s with x-should-retry %s is %s on a server that deduplicates, and %s on any other",
    (status, shouldRetry, expected, expectedElsewhere) => {
      const attempt = { ...failed, safety: "deduplicated", status, shouldRetry } as const;
      expect(isUndelivered({ ...attempt, deduplicates: true })).toBe(expected);
      expect(isUndelivered({ ...attempt, deduplicates: false })).toBe(expectedElsewhere);
    },
  );

  test("a 409 means that nothing was delivered if it has a problem type, an offline code, or the text by which clients of the hosted API recognise an offline device", () => {
    const attempt = { safety: "deduplicated", status: 409, deduplicates: false } as const;
    const code = "approval_decided";
    expect(isUndelivered({ ...attempt, code, type: "urn:letta-environments:problem:approval_decided" })).toBe(true);
    expect(isUndelivered({ ...attempt, code, type: "about:blank" })).toBe(false);
    expect(isUndelivered({ ...attempt, code: "connection_replaced" })).toBe(true);
    expect(isUndelivered({ ...attempt, code: "http_error", message: "Remote environment is offline." })).toBe(true);
    expect(isUndelivered({ ...attempt, code: "http_error", message: "a request with this id is in progress" })).toBe(
      false,
    );
  });

  test("a redirect that a browser hides may follow a request that was carried out", () => {
    for (const deduplicates of [true, false])
      expect(isUndelivered({ safety: "once", status: 0, code: "redirected", deduplicates })).toBe(false);
  });

  test("a message that may have been delivered, as its problem says, is not undelivered whatever its status", () => {
    for (const status of [400, 409, 429, 503]) {
      const attempt = { safety: "deduplicated", code: "upstream_error", status, shouldRetry: "false" } as const;
      expect(isUndelivered({ ...attempt, deduplicates: true, delivery: "unknown" })).toBe(false);
      const type = "urn:letta-environments:problem:upstream_error";
      expect(isUndelivered({ ...attempt, deduplicates: true, delivery: "none", type })).toBe(status < 500);
    }
  });

  test("a body that was delivered in part is neither undelivered nor repeated", () => {
    const type = "urn:letta-environments:problem:input_rejected";
    for (const [code, status] of [
      ["input_rejected", 409],
      ["delivery_unknown", 504],
    ] as const) {
      const attempt = { safety: "once", code, status, type, deduplicates: true, parts: { delivered: 1 } } as const;
      expect([isUndelivered(attempt), isRepeatable(attempt)]).toEqual([false, false]);
      expect(isUndelivered({ ...attempt, parts: { delivered: 0 } })).toBe(status === 409);
    }
  });

  test("a problem code that says that nothing was delivered counts on every server, whatever x-should-retry says", () => {
    for (const code of ["shutting_down", "queue_full"] as const)
      expect(isUndelivered({ safety: "once", status: 503, code, shouldRetry: "false", deduplicates: false })).toBe(
        true,
      );
  });
});

test("a 504 problem that says nothing was sent means no delivery; a 504 of another server leaves delivery open", () => {
  const attempt = { safety: "deduplicated", status: 504, deduplicates: false } as const;
  const timedOut = { ...attempt, code: "upstream_timeout", shouldRetry: "true" } as const;
  expect([isUndelivered(timedOut), isRepeatable(timedOut)]).toEqual([true, true]);
  const foreign = { ...attempt, code: "http_error" } as const;
  expect([isUndelivered(foreign), isRepeatable(foreign)]).toEqual([false, false]);
});

describe("readRetryAfterMs", () => {
  const nowMs = Date.parse("Tue, 24 Nov 2026 12:00:00 GMT");

  test.each<[Record<string, string>, number | undefined]>([
    [{}, undefined],
    [{ "retry-after": "7" }, 7_000],
    [{ "retry-after": "0" }, undefined],
    [{ "retry-after-ms": "1500.5", "retry-after": "9" }, 1_500.5],
    [{ "retry-after-ms": "soon", "retry-after": "9" }, 9_000],
    [{ "retry-after": "Tue, 24 Nov 2026 12:00:30 GMT" }, 30_000],
    [{ "retry-after": "Tuesday, 24-Nov-26 12:00:30 GMT" }, 30_000],
    [{ "retry-after": "Tue, 24 Nov 2026 11:00:00 GMT" }, undefined],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after-ms": "0", "retry-after": "2" }, 2_000],
    [{ "retry-after": "later" }, undefined],
  ])("readRetryAfterMs of %j is %s ms", (headers, expected) => {
    expect(readRetryAfterMs(new Headers(headers), nowMs)).toBe(expected);
  });

  test("a date in asctime format is read as GMT, whatever the client's time zone", () => {
    vi.stubEnv("TZ", "America/New_York");
    expect(new Date(nowMs).getHours()).toBe(7);
    expect(readRetryAfterMs(new Headers({ "retry-after": "Tue Nov 24 12:00:30 2026" }), nowMs)).toBe(30_000);
    vi.unstubAllEnvs();
  });
});

test.each([
  ["86400", 86_400_000],
  ["1", 1_000],
  ["0", 0],
  ["", undefined],
  ["-1", undefined],
  ["1e3", undefined],
  ["86400, 86400", undefined],
])("the header x-message-deduplication: %j is %s ms", (value, expected) => {
  expect(readDeduplicationMs(new Headers({ [messageDeduplicationHeader]: value }))).toBe(expected);
});
