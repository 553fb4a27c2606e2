/** The turns of the devices of a fake server: the status of each message, and requests for permission. Tests play the device. */
import {
  type Approval,
  type ApprovalDecision,
  hasEnded,
  type MessageStatus,
  type ProblemCode,
  type SendMessageBody,
} from "@letta-environments/schema";
import { startAlarm } from "../adapters/platform.ts";
import type { FakeEvents } from "./fake-events.ts";
import { json, problem, refuseAborted } from "./responses.ts";

/** A device, as events and requests name it. */
export interface FakeTarget {
  readonly deviceId: string;
  readonly connectionId: string | null;
}

/** The messages and the requests for permission of a fake server. */
export interface FakeTurns {
  /** A device took a body. */
  take(target: FakeTarget, body: SendMessageBody, disposition: "started" | "queued"): void;
  /** Returns why a device does not take the decisions of a body; `null` when it does. */
  refuse(body: SendMessageBody): ProblemCode | null;
  /** Changes the status of a message, as after a report of its device. */
  report(clientMessageId: string, members: Partial<MessageStatus>): MessageStatus;
  /** Makes a device ask for permission. */
  ask(target: FakeTarget, members: Partial<Approval> & Pick<Approval, "id">): Approval;
  /** The response to a request for a status, immediately or when the message has ended. */
  retrieve(
    deviceId: string,
    id: string,
    query: URLSearchParams,
    signal: AbortSignal | null | undefined,
  ): Promise<Response>;
  /** The response to a request for the messages of a device. A cursor is the number of the messages before it. */
  listMessages(deviceId: string, query: URLSearchParams): Response;
  list(): Response;
}

/** Creates {@link FakeTurns}. `now`: epoch milliseconds. */
export function createFakeTurns(events: Pick<FakeEvents, "emit">, now: () => number): FakeTurns {
  const messages = createFakeMessages(events, now);
  const approvals = createFakeApprovals(events, now);
  return {
    ...messages,
    ...approvals,
    take(target, body, disposition) {
      approvals.decide(target, body);
      messages.accept(target, body, disposition);
    },
  };
}

function createFakeMessages(events: Pick<FakeEvents, "emit">, now: () => number) {
  const messages = new Map<string, MessageStatus>();
  const targets = new Map<string, FakeTarget>();
  const waiting = new Set<() => void>();

  function publish(status: MessageStatus): void {
    messages.set(status.clientMessageId, status);
    const { deviceId, connectionId } = targets.get(status.clientMessageId) ?? { ...status, connectionId: null };
    events.emit("message", deviceId, { deviceId, connectionId, message: status });
    for (const wake of [...waiting]) wake();
  }

  return {
    accept(target: FakeTarget, body: SendMessageBody, disposition: "started" | "queued"): void {
      const { agentId = null, conversationId } = body;
      for (const message of body.messages) {
        if ("approvals" in message) continue;
        const { client_message_id: clientMessageId } = message;
        targets.set(clientMessageId, target);
        const conversation = { agentId, conversationId: conversationId || "default", deviceId: target.deviceId };
        publish({ clientMessageId, ...conversation, state: "accepted", disposition, sentAt: now(), updatedAt: now() });
      }
    },
    report(clientMessageId: string, members: Partial<MessageStatus>): MessageStatus {
      const known = messages.get(clientMessageId);
      if (known === undefined) throw new RangeError(`no device accepted the message ${clientMessageId}`);
      const status = { ...known, updatedAt: now(), ...members };
      publish(status);
      return status;
    },
    listMessages(deviceId: string, query: URLSearchParams): Response {
      const start = Number(query.get("after") ?? 0);
      const limit = Number(query.get("limit") ?? 50);
      const states = query.getAll("state");
      const selects = (name: "agentId" | "conversationId", status: MessageStatus): boolean =>
        !query.has(name) || query.getAll(name).some((value) => value === status[name]);
      const all = [...messages.values()]
        .filter((status) => status.deviceId === deviceId && (states.length === 0 || states.includes(status.state)))
        .filter((status) => selects("agentId", status) && selects("conversationId", status))
        .toReversed();
      const page = all.slice(start, start + limit).map(({ text, textTruncated, ...status }) => ({
        ...status,
        ...(query.get("include") === "text" && text !== undefined && { text, textTruncated }),
      }));
      const end = start + page.length;
      return json(200, {
        messages: page,
        hasNextPage: end < all.length,
        cursor: end === 0 ? null : String(end),
      });
    },
    async retrieve(deviceId: string, id: string, query: URLSearchParams, signal: AbortSignal | null | undefined) {
      const find = (): MessageStatus | undefined => {
        const found = messages.get(id);
        return found?.deviceId === deviceId ? found : undefined;
      };
      const waitSeconds = query.get("wait") === "finished" ? Number(query.get("waitSeconds") ?? 30) : null;
      const first = find();
      if (first === undefined) return problem("message_not_found");
      if (waitSeconds === null) return json(200, first);
      if (!hasEnded(first)) await waitForEnd(waiting, () => hasEnded(find() ?? first), waitSeconds * 1_000, signal);
      refuseAborted(signal);
      return json(200, { ...(find() ?? first), waitSeconds });
    },
  };
}

function createFakeApprovals(events: Pick<FakeEvents, "emit">, now: () => number) {
  const pending = new Map<string, Approval>();
  const decided = new Map<string, boolean>();

  return {
    decide({ deviceId, connectionId }: FakeTarget, body: SendMessageBody): void {
      for (const { tool_call_id: id, approve, reason = null } of decisionsOf(body)) {
        const approval = pending.get(id);
        if (approval === undefined) continue;
        pending.delete(id);
        decided.set(id, approve);
        const decision = { decision: approve ? "allow" : "deny", decidedBy: "key-1", decidedAt: now() };
        const shown = { ...approval, ...decision, reason };
        events.emit("approval", deviceId, { deviceId, connectionId, change: "decided", approval: shown });
      }
    },
    refuse(body: SendMessageBody): ProblemCode | null {
      // A test without requests for permission need not create them for its decisions.
      if (pending.size + decided.size === 0) return null;
      for (const { tool_call_id: id, approve } of decisionsOf(body)) {
        const earlier = decided.get(id);
        if (earlier !== undefined && earlier !== approve) return "approval_decided";
        if (earlier === undefined && !pending.has(id)) return "approval_not_found";
      }
      return null;
    },
    ask({ deviceId, connectionId }: FakeTarget, members: Partial<Approval> & Pick<Approval, "id">): Approval {
      const approval: Approval = {
        connectionId,
        deviceId,
        agentId: "agent-1",
        conversationId: "default",
        tool: "Bash",
        input: {},
        inputTruncated: false,
        reason: null,
        suggestions: [],
        requestedAt: now(),
        ageMs: 0,
        expiresAt: null,
        clientMessageId: null,
        ...members,
      };
      pending.set(approval.id, approval);
      const { ageMs: _age, ...shown } = approval;
      events.emit("approval", deviceId, { deviceId, connectionId, change: "requested", approval: shown });
      return approval;
    },
    list(): Response {
      const approvals = [...pending.values()].map((approval) => ({ ...approval, ageMs: now() - approval.requestedAt }));
      return json(200, { approvals, hasNextPage: false, cursor: approvals.at(-1)?.id ?? null });
    },
  };
}

function decisionsOf({ messages }: SendMessageBody): readonly ApprovalDecision[] {
  return messages.flatMap((message) =>
    "approvals" in message ? message.approvals.flatMap((each) => ("approve" in each ? [each] : [])) : [],
  );
}

/** Resolves when a message has ended, when the time is over, or when the caller has left. */
function waitForEnd(
  waiting: Set<() => void>,
  isOver: () => boolean,
  durationMs: number,
  signal: AbortSignal | null | undefined,
): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      waiting.delete(check);
      resolve();
    };
    const check = (): void => {
      if (isOver()) finish();
    };
    const cancel = startAlarm(durationMs, signal, finish);
    waiting.add(check);
  });
}
