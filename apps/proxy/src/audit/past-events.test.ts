import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { AuditEntry } from "./entry.ts";
import { createPastEvents } from "./past-events.ts";

function decision(toolCallId: string): AuditEntry {
  const conversation = { tenant: "t", deviceId: "d", connectionId: "c", agentId: null, conversationId: "default" };
  const decided = { tool: "Bash", decision: "deny", keyId: null, policy: "denied_tool", outcome: "accepted" } as const;
  return { type: "approval_decided", ...conversation, ...decided, toolCallId };
}

function setUp(capacity?: number) {
  const clock = createVirtualClock();
  const disk = { isFull: false };
  const stored: string[] = [];
  const failures: unknown[] = [];
  const append = (entry: AuditEntry): Promise<void> => {
    if (disk.isFull) return Promise.reject(new Error("disk full"));
    return Promise.resolve(void stored.push("toolCallId" in entry ? entry.toolCallId : entry.type));
  };
  const past = createPastEvents({ append }, { clock, onFailure: (cause) => failures.push(String(cause)) }, capacity);
  const add = (...ids: readonly string[]): void => ids.forEach((id) => past.add(decision(id)));
  return { clock, disk, stored, failures, past, add, append };
}

test("events that could not be recorded are recorded in their order once the log can be written, before later ones", async () => {
  const { clock, disk, stored, failures, add } = setUp();
  add("1");
  await clock.advance(0);
  disk.isFull = true;
  add("2", "3");
  await clock.advance(60_000);
  add("4");
  expect([stored, failures]).toEqual([["1"], ["Error: disk full"]]);
  disk.isFull = false;
  await clock.advance(1_000);
  expect(stored).toEqual(["1", "2", "3", "4"]);
  add("5");
  await clock.advance(0);
  expect([stored.at(-1), failures.length]).toEqual(["5", 1]);
});

test("events that wait are recorded before the log closes", async () => {
  const { clock, disk, stored, past, add } = setUp();
  disk.isFull = true;
  add("1", "2");
  await clock.advance(0);
  disk.isFull = false;
  await past.end();
  expect(stored).toEqual(["1", "2"]);
});

test("a log that closes without some events, or has no room for them, reports that", async () => {
  const { clock, disk, stored, failures, past, add } = setUp(2);
  disk.isFull = true;
  add("1", "2", "3");
  await past.end();
  await clock.advance(60_000);
  const full = "Error: 2 other events wait already, so an event is not recorded";
  expect(failures).toEqual(["Error: disk full", full, "Error: 2 events are not recorded"]);
  add("4");
  await clock.advance(60_000);
  expect(failures.at(-1)).toBe("Error: the log closes, so an event is not recorded");
  expect(stored).toEqual([]);
});

test("while the log can be written, events are appended at once and keep their order among all others", () => {
  const { stored, add, append } = setUp();
  add("1", "2");
  void append(decision("of a request"));
  add("3");
  expect(stored).toEqual(["1", "2", "of a request", "3"]);
});

test("events that arrive while the log closes are recorded once", async () => {
  const { clock, disk, stored, failures, past, add } = setUp();
  disk.isFull = true;
  add("1", "2");
  await clock.advance(0);
  disk.isFull = false;
  const ended = past.end();
  add("3");
  await Promise.resolve();
  add("4");
  await ended;
  expect([stored, failures]).toEqual([["1", "2", "3", "4"], ["Error: disk full"]]);
});
