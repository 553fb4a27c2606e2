/**
 * Which messages end with which turn, when reports arrive in another order than they were made: while the link is slow, a device puts its
 * latest loop status in the place of one that still waits to be sent, and so before the ends of turns that it knows to be over.
 */
import { expect, test } from "vitest";
import type { LoopFrame, TurnFinishedFrame, TurnFrame } from "../dialects/frame.ts";
import { createConversationTurns } from "./turns.ts";

const runtime = { agentId: "agent-1", conversationId: "default" };

function loop(
  activity: LoopFrame["activity"],
  runs: Readonly<Record<string, readonly string[]>> = {},
  activeRunIds: readonly string[] = [],
): LoopFrame {
  const listed = Object.entries(runs).map(([runId, messageIds]) => ({ runId, messageIds }));
  return { kind: "update_loop_status", runtime, activity, activeRunIds, runs: listed };
}

function end(runId: string | null, stopReason: string = "end_turn"): TurnFinishedFrame {
  return { kind: "turn_finished", runtime, runId, stopReason, error: null, usage: null };
}

function text(content: string): TurnFrame {
  return { kind: "assistant_text", runtime, id: `text of ${content}`, text: content };
}

/** The turns of a conversation whose messages were sent in this order, and have started or wait. */
function createTurns({ started, queued }: { readonly started: readonly string[]; readonly queued: readonly string[] }) {
  const ends: unknown[] = [];
  let now = 0;
  const turns = createConversationTurns<{ readonly messageIds: readonly [string] }>({
    monotonic: () => now,
    budget: { used: 0 },
    reportsTurnEnds: true,
    apply({ messageIds: [id] }, evidence) {
      if (evidence.kind !== "ended") return;
      ends.push([id, evidence.stopReason, evidence.reply?.text ?? null, evidence.durationMs]);
    },
    release: () => undefined,
  });
  const receive = (...frames: readonly TurnFrame[]): void => {
    for (const frame of frames) {
      now += 10;
      turns.receive(frame);
    }
  };
  for (const id of started) {
    const member = { messageIds: [id] } as const;
    turns.add(member);
    turns.start(member);
  }
  for (const id of queued) turns.add({ messageIds: [id] });
  if (queued.length > 0) receive({ kind: "update_queue", runtime, messageIds: queued, removed: [] });
  return { ends, turns, receive, current: () => turns.current().map(({ messageIds: [id] }) => id) };
}

test("a message keeps its own reply and end when the run of the next message is reported before the end of its turn", () => {
  const { ends, receive, current } = createTurns({ started: ["a"], queued: ["b"] });
  receive(loop("active", { "run-1": ["a"], "run-2": ["b"] }, ["run-2"]), text("answer to a"), end("run-1"));
  expect(ends).toEqual([["a", "end_turn", "answer to a", 40]]);
  expect(current()).toEqual(["b"]);
  receive(text("answer to b"), end("run-2", "error"));
  expect(ends.slice(1)).toEqual([["b", "error", "answer to b", 20]]);
  expect(current()).toEqual([]);
});

test("the same when both turns are over before the end of the first one is reported", () => {
  const { ends, receive } = createTurns({ started: ["a"], queued: ["b"] });
  receive(loop("active"), loop("idle", { "run-1": ["a"], "run-2": ["b"] }));
  expect(ends).toEqual([]);
  receive(text("answer to a"), end("run-1"), text("answer to b"), end("run-2", "cancelled"));
  expect(ends).toEqual([
    ["a", "end_turn", "answer to a", 50],
    ["b", "cancelled", "answer to b", 20],
  ]);
});

test("the end of a turn without a run is not that of a message that some run lists", () => {
  const { ends, receive, current } = createTurns({ started: ["a"], queued: ["b"] });
  receive(loop("active", { "run-1": ["b"] }, ["run-1"]), end(null, "error"));
  expect([ends, current()]).toEqual([[["a", "error", null, 30]], ["b"]]);
});

test("the end of a turn without a run ends its message that an earlier run lists: the turn had sent the result of a tool, and no run followed", () => {
  const { ends, receive, current } = createTurns({ started: ["a"], queued: [] });
  receive(loop("active", { "run-1": ["a"] }, ["run-1"]), loop("active", { "run-1": ["a"] }));
  receive(loop("idle", { "run-1": ["a"] }), end(null, "error"));
  expect([ends, current()]).toEqual([[["a", "error", null, 40]], []]);
});

test("it ends those that have joined the turn since, too, but not those that only later runs list", () => {
  const { ends, receive, current } = createTurns({ started: ["a"], queued: ["b", "c"] });
  receive(loop("active", { "run-1": ["a"] }, ["run-1"]), loop("active", { "run-1": ["a"] }));
  receive({
    kind: "update_queue",
    runtime,
    messageIds: ["c"],
    removed: [{ messageId: "b", disposition: "dequeued" }],
  });
  receive(loop("active", { "run-1": ["a"], "run-2": ["c"] }, ["run-2"]), end(null, "error"));
  expect(ends).toEqual([
    ["a", "error", null, 60],
    ["b", "error", null, 60],
  ]);
  expect(current()).toEqual(["c"]);
  receive(end("run-2"));
  expect(ends.at(-1)).toEqual(["c", "end_turn", null, 10]);
});

test("the end of the present turn ends all its messages: of several runs, of one that joined it, and of a run that lists none", () => {
  const several = createTurns({ started: ["a"], queued: ["b"] });
  several.receive(loop("active", { "run-1": ["a"] }, ["run-1"]));
  several.receive(loop("active", { "run-1": ["a"], "run-2": ["a", "b"] }, ["run-2"]), end("run-2"));
  expect(several.ends).toEqual([
    ["a", "end_turn", null, 40],
    ["b", "end_turn", null, 40],
  ]);
  // As the rest of a turn that a decision continues after a recovery.
  const continued = createTurns({ started: ["a"], queued: [] });
  continued.receive(loop("active", { "run-1": ["a"] }, ["run-1"]), end("run-9"));
  expect(continued.ends).toEqual([["a", "end_turn", null, 20]]);
});

test.each([
  ["and is listed", { "run-1": ["a"], "run-2": ["b"] }],
  ["and is not listed yet", { "run-1": ["a"] }],
])("a late reason of a turn that ended without one does not end the next message, which has started %s", (_, runs) => {
  const { ends, turns, receive, current } = createTurns({ started: ["a"], queued: [] });
  receive(loop("active", { "run-1": ["a"] }, ["run-1"]), loop("idle", { "run-1": ["a"] }));
  const next = { messageIds: ["b"] } as const;
  turns.add(next);
  turns.start(next);
  receive(loop("active", runs, ["run-2"]), text("answer to b"), end("run-1", "error"));
  expect(ends).toEqual([
    ["a", "unknown", null, 20],
    ["a", "error", null, null],
  ]);
  expect(current()).toEqual(["b"]);
  receive(end("run-2"));
  expect(ends.at(-1)).toEqual(["b", "end_turn", "answer to b", 40]);
});
