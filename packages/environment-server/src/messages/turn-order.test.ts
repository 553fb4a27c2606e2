/** Simulated conversations on a link that is slow at times. */
import { createRandom } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import type { TurnFrame } from "../dialects/frame.ts";
import type { MessageProgress } from "../message-log.ts";
import { advance, receivedStatus } from "./state-machine.ts";
import { trackedSend } from "../../test/support/tracked-send.ts";
import { createReplyBudget, createReplyCollector } from "./reply.ts";
import { createConversationTurns } from "./turns.ts";

interface Conditions {
  /** The link is slow at times. */
  readonly isSlow: boolean;
  /** The device also runs turns of other messages. */
  readonly runsOthers: boolean;
  /** Acknowledgements overtake waiting frames. */
  readonly acknowledgesEarly: boolean;
  /** The device reports the messages of its runs. */
  readonly reportsRuns: boolean;
}

interface Turn {
  /** Our messages; turns of others have none. */
  readonly messageIds: Set<string>;
  runId: string | null;
  text: string | null;
  isCancelled: boolean;
}

const runtime = { agentId: "agent-1", conversationId: "default" };

/** Frames on their way to the server. A frame with a slot takes the place of one that waits there. */
function createLink(receive: (frame: TurnFrame) => void) {
  const waiting: { readonly slot: string | null; frame: TurnFrame }[] = [];
  const link = {
    isSlow: false,
    deliver() {
      const next = waiting.shift();
      if (next !== undefined) receive(next.frame);
    },
    deliverAll() {
      while (waiting.length > 0) link.deliver();
    },
    send(frame: TurnFrame, slot: string | null) {
      const earlier = slot === null ? undefined : waiting.find((other) => other.slot === slot);
      if (earlier === undefined) waiting.push({ slot, frame });
      else earlier.frame = frame;
      if (!link.isSlow) link.deliverAll();
    },
  };
  return link;
}

/** The statuses of the messages of a conversation, and the expected ones. */
function simulate(seed: number, { isSlow, runsOthers, acknowledgesEarly, reportsRuns }: Conditions) {
  const random = createRandom(seed);
  const statuses = new Map<string, MessageProgress>();
  const expected = new Map<string, { readonly stopReason: string; readonly text: string | null }>();
  const turns = createConversationTurns({
    clock: { monotonic: () => 0, setTimer: () => () => undefined },
    reply: createReplyCollector(createReplyBudget(), "acme"),
    reportsTurnEnds: true,
    apply: ({ deliveryId: id }, evidence) =>
      void statuses.set(id, advance(statuses.get(id) ?? receivedStatus, evidence)),
    release: () => undefined,
  });
  const link = createLink((frame) => turns.receive(frame));
  const runs: { readonly runId: string; readonly messageIds: readonly string[] }[] = [];
  let turn: Turn | null = null;
  let queue: (string | null)[] = [];
  let count = 0;

  function reportLoop(): void {
    const isActive = turn !== null && !turn.isCancelled;
    const activeRunIds = isActive && turn?.runId ? [turn.runId] : [];
    const activity = isActive ? "active" : "idle";
    const listed = reportsRuns ? [...runs] : [];
    link.send({ kind: "update_loop_status", runtime, activity, activeRunIds, runs: listed }, "loop");
  }

  function reportQueue(dequeued: readonly (string | null)[]): void {
    const ids = dequeued.filter((id) => id !== null);
    const removed = ids.map((messageId) => ({ messageId, disposition: "dequeued" as const }));
    link.send({ kind: "update_queue", runtime, messageIds: queue, removed }, ids.length === 0 ? "queue" : null);
  }

  function begin(ids: readonly (string | null)[]): void {
    const messageIds = new Set(ids.filter((id) => id !== null));
    turn = { messageIds, runId: null, text: null, isCancelled: false };
    reportLoop();
  }

  function takeQueue(): readonly (string | null)[] {
    const taken = queue;
    queue = [];
    return taken;
  }

  function finish({ messageIds, runId, text, isCancelled }: Turn, stopReason: string): void {
    for (const id of messageIds) expected.set(id, { stopReason, text });
    turn = null;
    if (!isCancelled) reportLoop();
    link.send({ kind: "turn_finished", runtime, runId, stopReason, error: null, usage: null }, null);
    if (queue.length === 0) return;
    const taken = takeQueue();
    begin(taken);
    reportQueue(taken);
  }

  function send(): void {
    const id = `message-${(count += 1)}`;
    const member = trackedSend(id);
    turns.add(member);
    statuses.set(id, receivedStatus);
    const startsTurn = turn === null;
    if (!acknowledgesEarly) link.deliverAll();
    if (startsTurn) turns.start(member);
    if (startsTurn) return begin([id]);
    queue.push(id);
    reportQueue([]);
  }

  function sendOther(): void {
    if (turn === null) return begin([null]);
    queue.push(null);
    reportQueue([]);
  }

  function startRun(current: Turn): void {
    current.runId = `run-${(count += 1)}`;
    if (current.messageIds.size > 0) runs.push({ runId: current.runId, messageIds: [...current.messageIds] });
    reportLoop();
  }

  function say(current: Turn): void {
    const text = `text ${(count += 1)}`;
    if (current.messageIds.size > 0) current.text = text;
    link.send({ kind: "assistant_text", runtime, id: text, text, key: null }, null);
  }

  /** The result of a tool goes to the next run, with the queued messages. */
  function continueTurn(current: Turn): void {
    current.runId = null;
    if (queue.length === 0 || random.happens(0.5)) return reportLoop();
    const taken = takeQueue();
    for (const id of taken) if (id !== null) current.messageIds.add(id);
    reportQueue(taken);
    startRun(current);
  }

  function proceed(current: Turn): void {
    if (current.isCancelled) return finish(current, "cancelled");
    const hasRun = current.runId !== null;
    random.pickWeighted<() => void>([
      [2, () => (hasRun ? undefined : startRun(current))],
      [1, () => (hasRun ? say(current) : undefined)],
      [1, () => (hasRun ? continueTurn(current) : undefined)],
      [1, () => finish(current, "error")],
      [1, () => (hasRun ? finish(current, "end_turn") : undefined)],
      [0.3, () => ((current.isCancelled = true), reportLoop())],
      [1.7, () => undefined],
    ])();
  }

  for (let step = 0; step < 60; step++) {
    if (isSlow && random.happens(0.04)) link.isSlow = true;
    else if (isSlow && random.happens(0.08)) link.isSlow = false;
    if (!link.isSlow) link.deliverAll();
    else if (random.happens(0.04)) link.deliver();
    if (random.happens(0.15)) send();
    else if (runsOthers && random.happens(0.08)) sendOther();
    else if (turn !== null) proceed(turn);
  }
  while (turn !== null) finish(turn, "error");
  link.deliverAll();
  return { statuses, expected };
}

const seeds = Array.from({ length: 400 }, (_, index) => index + 1);
const conditions = { isSlow: true, runsOthers: true, acknowledgesEarly: true, reportsRuns: true };

describe("turns and their messages", () => {
  test.each([
    ["the link is fast", { ...conditions, isSlow: false }],
    [
      "the link is fast, and the device does not say which messages its runs have",
      { ...conditions, isSlow: false, reportsRuns: false },
    ],
    ["the link is slow", { ...conditions, runsOthers: false, acknowledgesEarly: false }],
    ["the link is slow, and acknowledgements pass what waits", { ...conditions, runsOthers: false }],
  ])("each message gets the end and the text of its own turn when %s", (_, given) => {
    let messages = 0;
    for (const seed of seeds) {
      const { statuses, expected } = simulate(seed, given);
      messages += expected.size;
      for (const [id, { stopReason, text }] of expected) {
        const status = statuses.get(id);
        expect([status?.stopReason, status?.reply?.text ?? null], `${id} of seed ${seed}`).toEqual([stopReason, text]);
      }
    }
    expect(messages).toBeGreaterThan(seeds.length);
  });
});

// A turn of other messages may start and end while the link is stalled. Then its end cannot be distinguished from a message's.
test.each([true, false])(
  "every message ends, even after turns that were not reported in time (runs: %s)",
  (reportsRuns) => {
    for (const seed of seeds) {
      const { statuses } = simulate(seed, { ...conditions, reportsRuns });
      const states = new Set([...statuses.values()].map(({ state }) => state));
      expect(["finished", "cancelled"], `seed ${seed}`).toEqual(expect.arrayContaining([...states]));
    }
  },
);
