import { hasEnded } from "@letta-environments/schema";
import { expect, test } from "vitest";
import type { MessageState, MessageProgress } from "../message-log.ts";
import { advance, type Evidence, receivedStatus, unknownReason } from "./state-machine.ts";

const ended = (stopReason: string): Evidence & { readonly kind: "ended" } => ({
  kind: "ended",
  stopReason,
  error: null,
  usage: { totalTokens: 5 },
  durationMs: 40,
  reply: { text: "pong", isTruncated: false },
});
const after = (...evidence: readonly Evidence[]): MessageProgress => evidence.reduce(advance, receivedStatus);
const started: Evidence = { kind: "accepted", disposition: "started" };
const queued: Evidence = { kind: "accepted", disposition: "queued" };

test("a message goes from received to its end, with the outcome of its turn", () => {
  expect(after({ kind: "sent" }).state).toBe("sent");
  expect(after({ kind: "sent" }, queued)).toMatchObject({ state: "accepted", disposition: "queued" });
  expect(after(started, { kind: "running" }, { kind: "waiting" }).state).toBe("waiting_for_approval");
  expect(after(started, { kind: "running" }, { kind: "waiting" }, { kind: "running" }).state).toBe("running");
  expect(after(started, { kind: "running" }, ended("end_turn"))).toEqual({
    state: "finished",
    disposition: "started",
    stopReason: "end_turn",
    error: null,
    usage: { totalTokens: 5 },
    durationMs: 40,
    reply: { text: "pong", isTruncated: false },
  });
  expect(after(started, ended("cancelled")).state).toBe("cancelled");
  expect(after(queued, { kind: "removed" }).state).toBe("cancelled");
  expect(after(queued, { kind: "evicted" }).state).toBe("evicted");
  expect(after({ kind: "sent" }, { kind: "rejected", error: "full" })).toMatchObject({
    state: "failed",
    error: "full",
  });
});

test("a lost message is unknown, and becomes known again by a device report", () => {
  const lost: Evidence = { kind: "lost" };
  expect(after(started, { kind: "running" }, lost).state).toBe("unknown");
  expect(after(started, lost, { kind: "queued" }).state).toBe("accepted");
  expect(after(started, lost, { kind: "running" }).state).toBe("running");
  expect(after(started, lost, ended(unknownReason))).toMatchObject({ state: "finished", stopReason: "unknown" });
});

test("an end state is final; only a missing reason can be added later", () => {
  const all: readonly Evidence[] = [
    { kind: "sent" },
    started,
    { kind: "rejected", error: "x" },
    { kind: "queued" },
    { kind: "running" },
    { kind: "waiting" },
    ended("error"),
    { kind: "error", stopReason: "error", error: "x" },
    { kind: "removed" },
    { kind: "evicted" },
    { kind: "lost" },
  ];
  const ends = [
    after(ended("end_turn")),
    after(ended("cancelled")),
    after({ kind: "removed" }),
    after({ kind: "evicted" }),
  ];
  for (const end of [...ends, after({ kind: "rejected", error: null })]) {
    for (const evidence of all) expect(advance(end, evidence)).toBe(end);
  }
  const open = after(started, ended(unknownReason));
  expect(advance(open, { kind: "error", stopReason: "error", error: "404" })).toMatchObject({
    state: "finished",
    stopReason: "error",
    error: "404",
  });
  expect(advance(open, { ...ended("end_turn"), reply: null, durationMs: null })).toMatchObject({
    stopReason: "end_turn",
    durationMs: 40,
    reply: { text: "pong" },
  });
  expect(advance(open, { kind: "running" })).toBe(open);
});

test("no state goes back, whatever the order of reports, unless it is unknown", () => {
  const order: readonly MessageState[] = ["received", "sent", "accepted", "running"];
  const steps: readonly Evidence[] = [{ kind: "sent" }, queued, { kind: "queued" }, { kind: "running" }];
  for (const first of steps) {
    for (const second of steps) {
      const [before, next] = [after(first), after(first, second)];
      expect(order.indexOf(next.state)).toBeGreaterThanOrEqual(order.indexOf(before.state));
    }
  }
  const running = after(started, { kind: "running" });
  expect(advance(running, { kind: "rejected", error: null })).toBe(running);
  expect(hasEnded({ state: "unknown" })).toBe(false);
});
