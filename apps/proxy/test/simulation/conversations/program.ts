/**
 * The program of a simulated device that runs turns, as far as the gateway sees it: conversations with a queue, turns that stream text,
 * ask for permission, fail and are stopped, and reports of all that in the order and shape of a real 0.32.18 (`recordings/` of testkit).
 * Everything it knows is in the memory of its process.
 */
import type { Clock } from "@letta-environments/platform";
import type { Random } from "@letta-environments/testkit";
import type { Message, Truth } from "../truth.ts";
import {
  conversationFrame,
  deviceStatusFrame,
  type GatewayFrame,
  loopFrame,
  queueFrame,
  type Runtime,
  scoped,
  textDelta,
  turnFinishedFrame,
} from "./frames.ts";
import type { DeviceRecord } from "./record.ts";

/** The behaviour of a device process. */
export interface DeviceProgram {
  receive(frame: GatewayFrame): void;
  /** Its socket has opened, or opened again. */
  connected(): void;
  /** The process is killed, and another one starts with nothing in memory. */
  restart(): void;
}

/** Dependencies of a {@link DeviceProgram}. */
export interface DeviceProgramOptions {
  readonly tenant: string;
  readonly deviceId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly truth: Truth;
  readonly record: DeviceRecord;
  readonly rejects: () => boolean;
  readonly onDelivery: (message: Message) => void;
  /** Sends a frame. `requestId`: of the input that it acknowledges. A frame without a socket is lost. */
  readonly send: (frame: object, requestId?: string) => void;
}

/** The messages of one input. */
interface Item {
  readonly itemId: string;
  readonly messages: readonly Message[];
}

interface Turn {
  readonly items: Item[];
  runId: string | null;
  text: string;
  steps: number;
  /** The request for permission that the turn waits for. */
  asking: { readonly toolCallId: string; readonly frame: object } | null;
  cancel: () => void;
}

interface Conversation {
  readonly runtime: Runtime;
  mode: string;
  queue: Item[];
  isPaused: boolean;
  turn: Turn | null;
  /** The messages of the last runs. */
  readonly runs: Map<string, readonly string[]>;
}

/** Runs that a device remembers for a conversation. */
const maxRuns = 32;

/** Creates a program without conversations. */
export function createDeviceProgram(options: DeviceProgramOptions): DeviceProgram {
  const { tenant, deviceId, clock, random, truth, record, send } = options;
  const conversations = new Map<string, Conversation>();
  let count = 0;
  const newId = (prefix: string): string => `${prefix}-${deviceId}-${(count += 1)}`;
  const idsOf = (items: readonly Item[]): string[] => items.flatMap(({ messages }) => messages.map(({ id }) => id));

  function conversationOf(runtime: Runtime): Conversation {
    const key = JSON.stringify([runtime.agent_id, runtime.conversation_id]);
    const known = conversations.get(key);
    if (known !== undefined) return known;
    const mode = random.pick(["standard", "standard", "unrestricted"]);
    const created = { runtime, mode, queue: [], isPaused: false, turn: null, runs: new Map() };
    conversations.set(key, created);
    return created;
  }

  function noteAll(items: readonly Item[], kind: "queued" | "running" | "waiting" | "removed" | "gone"): void {
    for (const { messages } of items) for (const message of messages) record.note(message, { kind });
  }

  function reportLoop({ runtime, turn, runs }: Conversation, status: string): void {
    send(scoped(runtime, loopFrame(status, turn?.runId ?? null, runs)));
  }

  function reportStatus({ runtime, turn, mode }: Conversation): void {
    send(scoped(runtime, deviceStatusFrame(mode, turn !== null, turn?.asking?.frame ?? null)));
  }

  function reportQueue({ runtime, queue, isPaused }: Conversation, removed: object[] = []): void {
    const items = queue.map(({ itemId, messages }) => ({ id: itemId, client_message_id: messages[0]?.id, isPaused }));
    send(scoped(runtime, queueFrame(items, removed)));
  }

  function start(conversation: Conversation, items: readonly Item[]): void {
    record.counts.turns += 1;
    const turn: Turn = { items: [...items], runId: null, text: "", steps: 0, asking: null, cancel: () => undefined };
    conversation.turn = turn;
    noteAll(items, "running");
    reportLoop(conversation, "SENDING_API_REQUEST");
    reportStatus(conversation);
    later(turn, 400, () => {
      if (random.happens(0.08)) return end(conversation, turn, "error");
      beginRun(conversation, turn);
      later(turn, 300, () => step(conversation, turn));
    });
  }

  function later(turn: Turn, maxMs: number, run: () => void): void {
    turn.cancel = clock.setTimer(5 + random.below(maxMs), run);
  }

  function beginRun(conversation: Conversation, turn: Turn): void {
    turn.runId = newId("run");
    conversation.runs.set(turn.runId, idsOf(turn.items));
    const [oldest] = conversation.runs.keys();
    if (oldest !== undefined && conversation.runs.size > maxRuns) conversation.runs.delete(oldest);
    reportLoop(conversation, "PROCESSING_API_RESPONSE");
  }

  function step(conversation: Conversation, turn: Turn): void {
    turn.steps += 1;
    const asks = conversation.mode === "standard" ? 3 : 0;
    const action = random.pickWeighted([
      [4, "say"],
      [asks, "ask"],
      [1 + turn.steps, "end"],
      [0.4, "fail"],
    ] as const);
    switch (action) {
      case "say": {
        const piece = `${turn.runId} says ${turn.steps}. `;
        turn.text += piece;
        send(scoped(conversation.runtime, textDelta(`text-${turn.runId}`, piece)));
        return later(turn, 700, () => step(conversation, turn));
      }
      case "ask":
        return ask(conversation, turn);
      case "end":
        return end(conversation, turn, "end_turn");
      case "fail":
        return end(conversation, turn, "error");
    }
  }

  function ask(conversation: Conversation, turn: Turn): void {
    const { runtime } = conversation;
    const toolCallId = newId("call");
    const frame = {
      request_id: `perm-${toolCallId}`,
      request: { subtype: "can_use_tool", tool_name: "Bash", input: { command: turn.runId }, tool_call_id: toolCallId },
    };
    turn.asking = { toolCallId, frame };
    record.ask({ tenant, deviceId, agentId: runtime.agent_id ?? "", toolCallId, tool: "Bash" });
    noteAll(turn.items, "waiting");
    reportLoop(conversation, "WAITING_ON_APPROVAL");
    reportRequest(conversation, frame);
    reportStatus(conversation);
  }

  function reportRequest({ runtime }: Conversation, frame: object): void {
    const { agent_id, conversation_id } = runtime;
    send(scoped(runtime, { type: "control_request", ...frame, agent_id, conversation_id }));
  }

  /** Messages of the queue join the turn after a tool has run, as at a real device. */
  function goOn(conversation: Conversation, turn: Turn): void {
    if (conversation.queue.length > 0 && !conversation.isPaused) {
      const joined = conversation.queue.splice(0);
      turn.items.push(...joined);
      noteAll(joined, "running");
      reportQueue(conversation, joined.map(removedAs("dequeued")));
      beginRun(conversation, turn);
    }
    later(turn, 300, () => step(conversation, turn));
  }

  function end(conversation: Conversation, turn: Turn, stopReason: string, whenReported?: () => void): void {
    turn.cancel();
    conversation.turn = null;
    for (const { messages } of turn.items)
      for (const message of messages)
        record.note(message, { kind: "ended", stopReason, text: turn.text, isListed: turn.runId !== null });
    if (turn.asking !== null) record.endRequest(tenant, turn.asking.toolCallId, null);
    reportLoop(conversation, "WAITING_ON_INPUT");
    reportStatus(conversation);
    whenReported?.();
    send(scoped(conversation.runtime, turnFinishedFrame(stopReason, turn.runId)));
    if (conversation.queue.length > 0 && !conversation.isPaused) startQueue(conversation);
  }

  function startQueue(conversation: Conversation): void {
    const items = conversation.queue.splice(0);
    conversation.isPaused = false;
    reportQueue(conversation, items.map(removedAs("dequeued")));
    start(conversation, items);
  }

  function receiveInput({ request_id: requestId, runtime, payload }: GatewayFrame): void {
    const conversation = conversationOf(runtime);
    const acknowledge = (members: object): void =>
      send({ type: "input_accepted", request_id: requestId, runtime, ...members }, requestId);
    if (payload?.kind === "approval_response")
      return receiveDecision(conversation, payload.request_id ?? "", payload.decision, acknowledge);
    const { agent_id: agentId, conversation_id: conversationId } = runtime;
    const isRejected = options.rejects();
    const messages = (payload?.messages ?? []).map(({ client_message_id: id, content: text }): Message => {
      return { tenant, deviceId, agentId: agentId ?? "", conversationId, id, text };
    });
    for (const message of messages) {
      options.onDelivery(message);
      truth.decide(message, !isRejected);
      if (isRejected) record.note(message, { kind: "rejected" });
    }
    if (isRejected) return acknowledge({ accepted: false, error: "Input was rejected by the queue" });
    const item = { itemId: newId("q"), messages };
    if (conversation.turn === null && conversation.queue.length === 0) {
      acknowledge({ accepted: true, disposition: "started" });
      return start(conversation, [item]);
    }
    conversation.queue.push(item);
    noteAll([item], "queued");
    acknowledge({ accepted: true, disposition: "queued" });
    reportQueue(conversation);
    // A new input ends the pause.
    if (conversation.turn === null) startQueue(conversation);
  }

  function receiveDecision(
    conversation: Conversation,
    requestId: string,
    decision: { readonly behavior: "allow" | "deny" } | undefined,
    acknowledge: (members: object) => void,
  ): void {
    const { turn } = conversation;
    const toolCallId = requestId.replace(/^perm-/, "");
    if (turn?.asking?.toolCallId !== toolCallId || decision === undefined) {
      const taken = record.requests.get(`${tenant}/${toolCallId}`)?.end?.decision ?? null;
      if (taken !== null) truth.violate(`${tenant}/${deviceId} received another decision on ${toolCallId}`);
      record.counts["late decisions"] += 1;
      return acknowledge({ accepted: false, error: "Approval request is no longer pending" });
    }
    turn.asking = null;
    record.endRequest(tenant, toolCallId, decision.behavior);
    noteAll(turn.items, "running");
    reportStatus(conversation);
    acknowledge({ accepted: true });
    reportLoop(conversation, "EXECUTING_CLIENT_SIDE_TOOL");
    later(turn, 500, () => goOn(conversation, turn));
  }

  function stop({ request_id, runtime }: GatewayFrame): void {
    const conversation = conversationOf(runtime);
    const { turn } = conversation;
    const respond = (aborted: boolean): void =>
      send({ type: "abort_message_response", request_id, runtime, aborted, success: true });
    if (turn === null) return respond(false);
    record.counts.stopped += 1;
    conversation.isPaused = conversation.queue.length > 0;
    end(conversation, turn, "cancelled", () => {
      reportQueue(conversation);
      respond(true);
    });
  }

  function removeItem({ request_id, runtime, item_id }: GatewayFrame): void {
    const conversation = conversationOf(runtime);
    const item = conversation.queue.find(({ itemId }) => itemId === item_id);
    conversation.queue = conversation.queue.filter((other) => other !== item);
    if (item !== undefined) {
      noteAll([item], "removed");
      reportQueue(conversation, [removedAs("cancelled")(item)]);
    }
    send({ type: "remove_queue_item_response", request_id, item_id, success: item !== undefined });
  }

  function resumeQueue({ request_id, runtime }: GatewayFrame): void {
    const conversation = conversationOf(runtime);
    const resumed = conversation.isPaused ? conversation.queue.length : 0;
    conversation.isPaused = false;
    send({ type: "resume_queue_response", request_id, runtime, resumed, success: true });
    if (resumed > 0 && conversation.turn === null) startQueue(conversation);
  }

  function synchronise({ request_id, runtime }: GatewayFrame): void {
    const conversation = conversationOf(runtime);
    report(conversation);
    reportQueue(conversation);
    send({ type: "sync_response", request_id, runtime, success: true });
  }

  function report(conversation: Conversation): void {
    const { turn } = conversation;
    reportStatus(conversation);
    const busy = turn?.asking === null ? "PROCESSING_API_RESPONSE" : "WAITING_ON_APPROVAL";
    reportLoop(conversation, turn === null ? "WAITING_ON_INPUT" : busy);
    if (turn?.asking) reportRequest(conversation, turn.asking.frame);
  }

  return {
    receive(frame) {
      switch (frame.type) {
        case "input":
          return receiveInput(frame);
        case "abort_message":
          return stop(frame);
        case "remove_queue_item":
          return removeItem(frame);
        case "resume_queue":
          return resumeQueue(frame);
        case "sync":
          return synchronise(frame);
        case "conversation_retrieve":
          return send(conversationFrame(frame.request_id, frame.conversation_id));
        case "change_device_state": {
          const conversation = conversationOf(frame.runtime);
          conversation.mode = frame.payload?.mode ?? conversation.mode;
          return reportStatus(conversation);
        }
        default:
      }
    },
    connected() {
      for (const conversation of conversations.values()) report(conversation);
    },
    restart() {
      for (const { turn, queue } of conversations.values()) {
        turn?.cancel();
        if (turn?.asking) record.endRequest(tenant, turn.asking.toolCallId, null);
        noteAll([...(turn?.items ?? []), ...queue], "gone");
      }
      conversations.clear();
      record.forgetRuns(tenant, deviceId);
    },
  };
}

function removedAs(disposition: "dequeued" | "cancelled") {
  return ({ messages }: Item): object => ({ client_message_id: messages[0]?.id, disposition });
}
