import { describe, expect, test } from "vitest";
import { createConsoleTelemetry, type LogEvent } from "./log.ts";

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
  const log = createConsoleTelemetry(
    format,
    (line) => void lines.push(line),
    () => now,
  );
  for (const event of events) log(event);
  return lines;
}

describe("json", () => {
  test("the line of a start begins with its event and its url", () => {
    expect(linesOf("json", { type: "listening", url: "http://127.0.0.1:1" })).toEqual([
      '{"event":"listening","url":"http://127.0.0.1:1","time":"2027-01-15T08:30:05.000Z"}\n',
    ]);
  });

  test("a cause is told with what led to it, on one line", () => {
    const cause = new Error("outer\nline", { cause: new Error("inner") });
    const [line = ""] = linesOf("json", { type: "internal_error", requestId: "r1", cause });
    expect(line.trimEnd()).not.toContain("\n");
    expect(JSON.parse(line)).toMatchObject({
      event: "internal_error",
      cause: expect.stringMatching(/outer[^]*<- Error: inner/),
    });
  });
});

describe("pretty", () => {
  test("a request is one line", () => {
    expect(linesOf("pretty", request)).toEqual(["08:30:05 GET listEnvironments 200 3 ms  key k1  r1\n"]);
    expect(linesOf("pretty", { ...request, operation: null, keyId: null })).toEqual(["08:30:05 GET - 200 3 ms  r1\n"]);
  });

  test("omits events about frames", () => {
    const device = { tenant: "t", environmentId: "e", deviceId: "d", connectionId: "c" };
    expect(linesOf("pretty", { type: "frame_ignored", rule: "must be JSON", ...device })).toEqual([]);
    expect(linesOf("pretty", { type: "device_connected", ...device })).toEqual([
      "08:30:05 device connected  tenant t  environmentId e  deviceId d  connectionId c\n",
    ]);
  });
});
