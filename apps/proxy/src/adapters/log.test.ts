import { describe, expect, test } from "vitest";
import { type LogEvent, bufferLines, createConsoleTelemetry } from "./log.ts";

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
  test("a JSON line of a start begins with the event and the URL", () => {
    expect(linesOf("json", { type: "listening", url: "http://127.0.0.1:1" })).toEqual([
      '{"event":"listening","url":"http://127.0.0.1:1","time":"2027-01-15T08:30:05.000Z"}\n',
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

describe("pretty", () => {
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
