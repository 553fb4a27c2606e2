import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { filterByLevel, type LogEvent } from "./log-event.ts";
import { bufferLines, createLogWriter, dropUnread, maxUnreadBytes } from "./log.ts";

const now = Date.UTC(2027, 0, 15, 8, 30, 5);
const request: LogEvent = {
  type: "request",
  requestId: "r1",
  method: "GET",
  operation: "listEnvironments",
  status: 200,
  durationMs: 3,
  tenant: "default",
  keyId: "k1",
};

function linesOf(format: "pretty" | "json", ...events: LogEvent[]): string[] {
  const lines: string[] = [];
  const log = createLogWriter(
    format,
    (line) => void lines.push(line),
    () => now,
  );
  for (const event of events) log(event);
  return lines;
}

describe("JSON log lines", () => {
  test("the JSON line of a start begins with the event and the URL", () => {
    expect(linesOf("json", { type: "listening", url: "http://127.0.0.1:1", host: "0.0.0.0" })).toEqual([
      '{"event":"listening","url":"http://127.0.0.1:1","host":"0.0.0.0","level":"info","time":"2027-01-15T08:30:05.000Z"}\n',
    ]);
  });

  test("a JSON line contains the whole chain of causes", () => {
    const cause = new Error("outer\nline", { cause: new Error("inner") });
    const [line = ""] = linesOf("json", { type: "internal_error", requestId: "r1", cause });
    expect(line.trimEnd()).not.toContain("\n");
    expect(JSON.parse(line)).toMatchObject({
      event: "internal_error",
      cause: expect.stringMatching(/outer[^]*<- Error: inner/),
    });
  });
});

test.each([
  ["0.0.0.0", "http://127.0.0.1:1", " on all addresses"],
  ["::", "http://[::1]:1", " on all addresses"],
  ["127.0.0.1", "http://127.0.0.1:1", ""],
  ["192.0.2.1", "http://192.0.2.1:1", ""],
])("the line of a start on %s says %s, and whether other machines can reach it", (host, url, where) => {
  const lines = linesOf("pretty", { type: "listening", url, host }, { type: "admin_listening", url, host });
  expect(lines).toEqual([
    `08:30:05 Listening on ${url}${where}\n`,
    `08:30:05 Administration on ${url}/admin/v1/keys${where}\n`,
  ]);
});

test("the line of a request has every member of its event, whatever the texts contain", () => {
  const text = fc.string({ unit: "binary" });
  const texts = fc.array(text);
  const events = fc.record({
    type: fc.constant("request" as const),
    requestId: text,
    method: text,
    operation: fc.option(text),
    status: fc.integer({ min: 100, max: 599 }),
    durationMs: fc.integer({ min: 0, max: 1e9 }).map((us) => us / 1_000),
    tenant: fc.option(text),
    keyId: fc.option(text),
  });
  const further = fc.record(
    {
      cache: fc.constantFrom("hit", "stale", "shared", "miss"),
      traceId: text,
      waitSeconds: fc.nat(),
      errorCode: text,
      clientAddress: fc.option(text),
      reason: text,
      limitedBy: texts,
      shadowRefusedBy: texts,
      shadowLimitedBy: texts,
      limitsDegraded: fc.constantFrom("timeout", "error", "unavailable"),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(events, further, (required, more) => {
      const event: LogEvent = { ...required, ...more };
      const [line = ""] = linesOf("json", event);
      expect(line.indexOf("\n")).toBe(line.length - 1);
      const { event: name, outcome, level, time, ...members } = JSON.parse(line);
      expect({ type: name, ...members }).toStrictEqual(event);
      expect([outcome, level, time]).toEqual([expect.any(String), expect.any(String), "2027-01-15T08:30:05.000Z"]);
    }),
  );
});

describe("log levels", () => {
  const events: readonly (readonly [LogEvent, string])[] = [
    [request, "info"],
    [{ ...request, status: 404, errorCode: "environment_not_found" }, "info"],
    [{ ...request, status: 503, errorCode: "overloaded" }, "warn"],
    [{ type: "internal_error", requestId: "r1", cause: null }, "error"],
    [{ type: "upstream_failed", operation: "listEnvironments", reason: "timeout", cause: null }, "warn"],
  ];

  test.each(events)("the event %j has the level %s", (event, level) => {
    expect(JSON.parse(linesOf("json", event)[0] ?? "")).toMatchObject({ event: event.type, level });
  });

  test("events below the level of the settings are left out", () => {
    const written: string[] = [];
    const log = filterByLevel("warn", (event) => void written.push(event.type));
    for (const [event] of events) log(event);
    expect(written).toEqual(["request", "internal_error", "upstream_failed"]);
  });
});

test.each([
  [200, "ok"],
  [101, "ok"],
  [429, "refused"],
  [499, "gone"],
  [500, "failed"],
])("a request with status %i has the outcome %s", (status, outcome) => {
  expect(JSON.parse(linesOf("json", { ...request, status })[0] ?? "")).toMatchObject({ status, outcome });
});

test("secrets that an error message repeats are left out of both formats", () => {
  const secrets = [
    ["lek_abcdefghijkl_0123456789abcdef", "lek_abcdefghijkl_0123456789abcdef"],
    ["Authorization: Bearer s3cr3t.token-value", "s3cr3t"],
    ["valkey://user:hunter2@cache.example:6379/0 refused", "hunter2"],
    ["token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "eyJhbGciOiJFUzI1NiJ9"],
    ["GET /socket?token=topsecret&x=1", "topsecret"],
    ["sk-let-1234567890abcdef is not valid", "1234567890abcdef"],
  ] as const;
  for (const [text, secret] of secrets) {
    for (const cause of [text, new Error("outer", { cause: new Error(text) }), { message: text }]) {
      for (const format of ["json", "pretty"] as const) {
        const [line = ""] = linesOf(format, { type: "internal_error", requestId: "r1", cause });
        expect(line).not.toContain(secret);
        expect(line).toContain("***");
      }
    }
  }
});

describe("pretty log lines", () => {
  test("a pretty request is one line", () => {
    expect(linesOf("pretty", request)).toEqual(["08:30:05 GET listEnvironments 200 3 ms  key k1  r1\n"]);
    expect(linesOf("pretty", { ...request, operation: null, keyId: null })).toEqual(["08:30:05 GET - 200 3 ms  r1\n"]);
  });

  test("a pretty log omits events about frames", () => {
    const device = { tenant: "t", environmentId: "e", deviceId: "d", connectionId: "c" };
    expect(linesOf("pretty", { type: "frame_ignored", rule: "must be JSON", ...device })).toEqual([]);
    expect(linesOf("pretty", { type: "device_connected", ...device })).toEqual([
      "08:30:05 device connected  tenant t  environmentId e  deviceId d  connectionId c\n",
    ]);
  });
});

test("lines of one turn of the event loop are written together, in order", () => {
  const written: string[] = [];
  const deferred: (() => void)[] = [];
  const output = bufferLines(
    (text) => void written.push(text),
    (run) => deferred.push(run),
  );
  output.write("a\n");
  output.write("b\n");
  expect([written, deferred.length]).toEqual([[], 1]);
  deferred.shift()?.();
  output.write("c\n");
  output.flush();
  deferred.shift()?.();
  expect([written, deferred.length]).toEqual([["a\nb\n", "c\n"], 0]);
});

test("a log without a reader buffers a bounded number of lines, keeps warnings longest, and reports how many it dropped", () => {
  const written: LogEvent[] = [];
  const output = { unreadBytes: 0, lostLines: 0, isFailing: false };
  const { log, dropped } = dropUnread((event) => void written.push(event), output);
  const warning: LogEvent = { ...request, status: 502 };
  for (output.unreadBytes of [maxUnreadBytes, maxUnreadBytes + 1, 2 * maxUnreadBytes + 1]) {
    log(request);
    log(warning);
  }
  expect([written, dropped()]).toEqual([[request, warning, warning], 3]);
  output.unreadBytes = 0;
  log(request);
  log(request);
  expect([written.slice(3), dropped()]).toEqual([[{ type: "log_dropped", lines: 3 }, request, request], 3]);
});

test("lines that cannot be written are counted, and the log says how many once it can be written again", () => {
  const written: LogEvent[] = [];
  const output = { unreadBytes: 0, lostLines: 2, isFailing: true };
  const { log, dropped } = dropUnread((event) => void written.push(event), output);
  log(request);
  expect([written, dropped()]).toEqual([[request], 2]);
  output.isFailing = false;
  log(request);
  log(request);
  expect([written.slice(1), dropped()]).toEqual([[{ type: "log_dropped", lines: 2 }, request, request], 2]);
});
