/** Which messages end with which turn, when reports arrive out of order; see `turn-order.ts`. */
import { describe, expect, test } from "vitest";
import type { LoopFrame, TurnFinishedFrame, TurnFrame } from "../dialects/frame.ts";
import { trackedSend } from "../../test/support/tracked-send.ts";
import { createReplyBudget, createReplyCollector } from "./reply.ts";
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
  return { kind: "assistant_text", runtime, id: `text of ${content}`, text: content, key: null };
}

/** The device takes messages out of its queue, which is empty then. */
function dequeue(...ids: readonly string[]): TurnFrame {
  const removed = ids.map((messageId) => ({ messageId, disposition: "dequeued" as const }));
  return { kind: "update_queue", runtime, messageIds: [], removed };
}

/** The turns of a conversation whose messages were sent in this order, and have started or wait. */
function createTurns({ started, queued }: { readonly started: readonly string[]; readonly queued: readonly string[] }) {
  const ends: unknown[][] = [];
  let now = 0;
  const turns = createConversationTurns({
    clock: { monotonic: () => now, setTimer: () => () => undefined },
    reply: createReplyCollector(createReplyBudget(), "acme"),
    reportsTurnEnds: true,
    apply({ deliveryId: id }, evidence) {
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
  const add = (id: string) => {
    const member = trackedSend(id);
    turns.add(member);
    return member;
  };
  for (const id of started) turns.start(add(id));
  for (const id of queued) add(id);
  if (queued.length > 0) receive({ kind: "update_queue", runtime, messageIds: queued, removed: [] });
  return {
    ends,
    turns,
    receive,
    add,
    current: () => turns.current().map(({ deliveryId: id }) => id),
    /** The ends without their durations. */
    outcomes: () => ends.map((values) => values.slice(0, 3)),
  };
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

test("a message keeps its own reply and end when both turns are over before the end of the first one is reported", () => {
  const { ends, receive } = createTurns({ started: ["a"], queued: ["b"] });
  receive(loop("active"), loop("idle", { "run-1": ["a"], "run-2": ["b"] }));
  expect(ends).toEqual([]);
  receive(text("answer to a"), end("run-1"), text("answer to b"), end("run-2", "cancelled"));
  expect(ends).toEqual([
    ["a", "end_turn", "answer to a", 50],
    ["b", "cancelled", "answer to b", 20],
  ]);
});

test("the end of a turn without a run does not end a message that a run lists", () => {
  const { ends, receive, current } = createTurns({ started: ["a"], queued: ["b"] });
  receive(loop("active", { "run-1": ["b"] }, ["run-1"]), end(null, "error"));
  expect([ends, current()]).toEqual([[["a", "error", null, 30]], ["b"]]);
});

test("the end of a turn without a run ends a message that an earlier run lists, if the turn had sent a tool result and no run followed", () => {
  const { ends, receive, current } = createTurns({ started: ["a"], queued: [] });
  receive(loop("active", { "run-1": ["a"] }, ["run-1"]), loop("active", { "run-1": ["a"] }));
  receive(loop("idle", { "run-1": ["a"] }), end(null, "error"));
  expect([ends, current()]).toEqual([[["a", "error", null, 40]], []]);
});

test("the end of a turn without a run also ends the messages that have joined the turn since, but not those that only later runs list", () => {
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

test("the end of the current turn ends all its messages: of several runs, of one that joined it, and of a run that lists none", () => {
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

test("a late reason for a turn that ended without one does not end the next message, even if that was already acknowledged", () => {
  const { ends, turns, receive, add, current } = createTurns({ started: [], queued: [] });
  add("a");
  turns.handleDisconnect();
  receive(loop("idle", { "run-1": ["a"] }));
  turns.start(add("b"));
  receive(end("run-1", "error"));
  expect(ends).toEqual([
    ["a", "unknown", null, null],
    ["a", "error", null, null],
  ]);
  expect(current()).toEqual(["b"]);
  receive(loop("active", { "run-1": ["a"], "run-2": ["b"] }, ["run-2"]), text("answer to b"), end("run-2"));
  expect(ends.at(-1)).toEqual(["b", "end_turn", "answer to b", 30]);
});

describe("messages that follow an earlier turn", () => {
  const ofA = ["a", "error", "of a"];
  const ofB = ["b", "end_turn", "of b"];

  test("a message whose run is reported before the end of a turn of other messages is not affected by that turn", () => {
    const { receive, outcomes } = createTurns({ started: [], queued: ["b"] });
    receive(loop("active", {}, ["run-x"]), loop("active", { "run-1": ["b"] }, ["run-1"]));
    receive(text("of others"), end("run-x", "error"), dequeue("b"), text("of b"), end("run-1"));
    expect(outcomes()).toEqual([ofB]);
  });

  test("a message is not affected by a turn of other messages that fails before its first run", () => {
    const { receive, outcomes } = createTurns({ started: [], queued: ["b"] });
    receive(loop("active"), loop("active", { "run-1": ["b"] }, ["run-1"]));
    receive(end(null, "error"), dequeue("b"), text("of b"), end("run-1"));
    expect(outcomes()).toEqual([ofB]);
  });

  test("a message is not affected by a turn of other messages when both turns are over before that end is reported", () => {
    const { receive, outcomes } = createTurns({ started: [], queued: ["b"] });
    receive(loop("active", {}, ["run-x"]), loop("idle", { "run-1": ["b"] }));
    receive(text("of others"), end("run-x", "error"), dequeue("b"), text("of b"), end("run-1"));
    expect(outcomes()).toEqual([ofB]);
  });

  test("a message does not get the text of a turn of other messages that precedes its own turn", () => {
    const { receive, outcomes } = createTurns({ started: [], queued: ["b"] });
    receive(loop("active", {}, ["run-x"]), text("of others"), loop("idle"), end("run-x"), dequeue("b"));
    receive(loop("active", { "run-1": ["b"] }, ["run-1"]), text("of b"), loop("idle", { "run-1": ["b"] }));
    receive(end("run-1"));
    expect(outcomes()).toEqual([ofB]);
  });

  test("a message acknowledged before the reported end of a turn of other messages is not affected by that turn", () => {
    const { turns, receive, outcomes, add } = createTurns({ started: [], queued: [] });
    receive(loop("active", {}, ["run-x"]));
    turns.start(add("b"));
    receive(text("of others"), loop("active", { "run-1": ["b"] }, ["run-1"]), end("run-x", "error"));
    receive(text("of b"), end("run-1"));
    expect(outcomes()).toEqual([ofB]);
  });

  test("a message is not affected by a turn without a run when both turns are over before that end is reported", () => {
    const { receive, outcomes } = createTurns({ started: ["a"], queued: ["b"] });
    receive(loop("active"), loop("idle", { "run-1": ["b"] }), end(null, "error"));
    receive(dequeue("b"), text("of b"), end("run-1"));
    expect(outcomes()).toEqual([["a", "error", null], ofB]);
  });

  test("a message acknowledged before the reported end of an earlier turn is not affected by that turn", () => {
    const { turns, receive, outcomes, add } = createTurns({ started: ["a"], queued: [] });
    receive(loop("active", { "run-1": ["a"] }, ["run-1"]));
    turns.start(add("b"));
    receive(text("of a"), loop("active", { "run-1": ["a"] }), end("run-1", "error"));
    receive(loop("active", { "run-1": ["a"], "run-2": ["b"] }, ["run-2"]), text("of b"), end("run-2"));
    expect(outcomes()).toEqual([ofA, ofB]);
  });

  test("a message acknowledged before the reported end of an earlier turn is not affected by it, even if the device does not list the messages of its runs", () => {
    const { turns, receive, outcomes, add } = createTurns({ started: ["a"], queued: [] });
    receive(loop("active", {}, ["run-1"]));
    turns.start(add("b"));
    receive(text("of a"), loop("active"), end("run-1", "error"), loop("active", {}, ["run-2"]));
    receive(text("of b"), end("run-2"));
    expect(outcomes()).toEqual([ofA, ofB]);
  });

  test.each([
    ["after the loop was idle", true],
    ["before the loop is idle", false],
  ])(
    "a message acknowledged before the reported end of a turn without a run is not affected by it, %s",
    (_, isIdle) => {
      const { turns, receive, outcomes, add } = createTurns({ started: ["a"], queued: [] });
      receive(loop("active"), ...(isIdle ? [loop("idle")] : []));
      turns.start(add("b"));
      receive(...(isIdle ? [] : [loop("idle")]), end(null, "error"), loop("active"));
      receive(loop("active", { "run-1": ["b"] }, ["run-1"]), text("of b"), loop("idle", { "run-1": ["b"] }));
      receive(end("run-1"));
      expect(outcomes()).toEqual([["a", "error", null], ofB]);
    },
  );

  test("a queued message acknowledged before the reported start and end of an earlier turn is not affected by it", () => {
    const { turns, receive, outcomes, add } = createTurns({ started: [], queued: ["a"] });
    receive(loop("active", {}, ["run-x"]));
    turns.start(add("b"));
    receive(end("run-x"), dequeue("a"), text("of a"), end("run-1", "error"));
    receive(loop("active", { "run-1": ["a"], "run-2": ["b"] }, ["run-2"]), text("of b"), end("run-2"));
    expect(outcomes()).toEqual([ofA, ofB]);
  });
});

test("a message whose end was lost ends without a reason when the end of a later turn is reported", () => {
  const { turns, receive, outcomes, add } = createTurns({ started: ["a"], queued: [] });
  turns.start(add("b"));
  receive(loop("active", { "run-2": ["b"] }, ["run-2"]), end("run-2", "error"));
  expect(outcomes()).toEqual([
    ["a", "unknown", null],
    ["b", "error", null],
  ]);
});

describe.each([
  ["a run that lists nothing", "run-9"],
  ["no run", null],
])("a turn that continues after a recovery, with %s", (_, runId) => {
  test("a turn that continues after a recovery ends its message on the same connection", () => {
    const { receive, outcomes } = createTurns({ started: ["m"], queued: [] });
    const runs = { "run-1": ["m"] };
    receive(loop("active", runs, ["run-1"]), loop("waiting", runs, ["run-1"]), loop("active", runs));
    receive(loop("idle", runs), end(runId, "error"));
    expect(outcomes()).toEqual([["m", "error", null]]);
  });

  test("a turn that continues after a recovery ends its message on another connection", () => {
    const { turns, receive, outcomes, add } = createTurns({ started: [], queued: [] });
    add("m");
    turns.handleDisconnect();
    const runs = { "run-1": ["m"] };
    receive(loop("waiting", runs, ["run-1"]), loop("active", runs), loop("idle", runs), end(runId, "error"));
    expect(outcomes()).toEqual([["m", "error", null]]);
  });
});

test("a turn that continues after a recovery ends a message that it took out of the queue", () => {
  const { receive, outcomes } = createTurns({ started: [], queued: ["m"] });
  const runs = { "run-5": ["m"] };
  receive(loop("active"), dequeue("m"), loop("active", runs, ["run-5"]), loop("active", runs), loop("idle", runs));
  receive(end(null, "error"));
  expect(outcomes()).toEqual([["m", "error", null]]);
});

test("the end of a later turn does not supply the reason of a message that ended without one", () => {
  const { receive, outcomes } = createTurns({ started: ["m"], queued: [] });
  receive(loop("active"), loop("idle"), end(null, "unknown"), loop("active", {}, ["run-x"]), end("run-x", "error"));
  expect(outcomes()).toEqual([["m", "unknown", null]]);
});
