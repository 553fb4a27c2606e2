/**
 * Follows the messages that were sent to connected devices until they end. For each row it remembers the sends that have not ended and
 * the turns of their conversations; frames become evidence, evidence changes the status, and the status is stored. When a device
 * disconnects its messages are unknown. When it reconnects, it is asked about them, and its reports continue where they stopped.
 */
import type { Clock } from "@letta-environments/platform";
import { type ApprovalPolicy, hasEnded } from "@letta-environments/schema";
import { type Conversation, conversationKey, isSameConversation } from "../dialects/conversation.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { createGroups, dropOldest, type Groups } from "../collections.ts";
import type { DeviceReference, EmitEvent } from "../log-events.ts";
import { maxConversationsPerDevice, maxFollowedMessages, maxFollowedPerRow, messageWriteDelayMs } from "../limits.ts";
import type { MemoryBudget } from "../memory-budget.ts";
import type { MessageLog, StoredMessage } from "../message-log.ts";
import type { Delivery, DeliveryOutcome } from "../ports.ts";
import { createDeferredWriter, type DeferredWriter } from "../logs/deferred-writer.ts";
import { createDetachedPolicies, createPolicyReader, type DetachedPolicies } from "./detached-policies.ts";
import { createFollowedSends, type TrackedSend, type FollowedSends, groupByDelivery, toStored } from "./followed.ts";
import { createReplyBudget, createReplyCollector, createTextFilter } from "./reply.ts";
import { advance, type Evidence, evidenceOf, receivedStatus } from "./state-machine.ts";
import { type ConversationTurns, createConversationTurns } from "./turns.ts";
import type { FindUnsaved } from "./unsaved.ts";

/** The messages that were sent to connected devices and have not ended. */
export interface MessageTracker {
  /**
   * Follows a send whose ids have just been stored.
   *
   * @param policy the sender's approval policy for the turn. With one, returns a promise that resolves when the policy is stored, or when storing it
   *   has failed for now. It never rejects.
   */
  open(delivery: Delivery, policy?: ApprovalPolicy | null): void | Promise<void>;
  /** Its frame was written. */
  markSent(delivery: Delivery): void;
  /** It was not written, and its ids are free again. */
  discard(delivery: Delivery): void;
  /** Takes the outcome of a send, even a late one. */
  applyOutcome(environmentId: string, deliveryId: string, outcome: DeliveryOutcome): void;
  /** Reads the policies of the messages of a row whose device is about to connect; see {@link createPolicyReader}. */
  readPolicies(environmentId: string, tenant: string): Promise<void>;
  /** Whether they were read before the device of a row connected. */
  hadReadPolicies(environmentId: string): boolean;
  /** A device has connected. `reportsTurnEnds`: see {@link createConversationTurns}. */
  connect(device: Pick<DeviceReference, "environmentId" | "tenant">, reportsTurnEnds: boolean): void;
  /**
   * Follows the messages of a connected row that have not ended: the stored ones, and those that a killed process could not store. Resolves with the
   * conversations to ask the device about. Messages that it did not know when it was asked before are left out, because they can never end.
   */
  resume(environmentId: string): Promise<readonly Conversation[]>;
  disconnect(environmentId: string): void;
  /** A row was removed. */
  forget(environmentId: string): void;
  receive(environmentId: string, frame: TurnFrame | StatusFrame): void;
  /** The latest message of the turn that runs in a conversation, and the policies that apply to it. */
  triggerOf(environmentId: string, conversation: Conversation): TurnTrigger;
  /** The policies of all senders whose messages have not ended in a conversation. */
  policiesOf(environmentId: string, conversation: Conversation): readonly ApprovalPolicy[];
  /** The messages of a row with an id that are followed now or have just ended. The latest of a conversation comes last. */
  find(environmentId: string, messageId: string): readonly StoredMessage[];
  /** The messages of a row that are followed now or have just ended. The latest comes last. */
  followed(environmentId: string): readonly StoredMessage[];
  /** Calls `run` whenever a message of a row with this id has ended and is stored. Returns a function that stops it. */
  onEnd(environmentId: string, messageId: string, run: () => void): () => void;
  /** Resolves when everything is stored. */
  close(): Promise<void>;
}

/** The messages that a turn is about. */
interface TurnTrigger {
  /** The latest one; `null` when none is known. */
  readonly messageId: string | null;
  /** The policies of all senders, including senders whose message may belong to the turn. */
  readonly policies: readonly ApprovalPolicy[];
}

interface Row {
  readonly tenant: string;
  readonly reportsTurnEnds: boolean;
  readonly hadReadPolicies: boolean;
  readonly entries: Map<string, TrackedSend>;
  readonly conversations: Map<string, ConversationTurns>;
  readonly isRepeatedText: (frame: TurnFrame | StatusFrame) => boolean;
}

interface MessageTrackerOptions {
  readonly clock: Clock;
  readonly log: Pick<MessageLog, "saveMessages" | "findOpenMessages">;
  /** See `unsaved.ts`. Default: there are none. */
  readonly findUnsaved?: FindUnsaved;
  readonly emit: EmitEvent;
  /** Wall time. */
  readonly wallNow: () => number;
  /** Receives the messages of a send after each change of their status, from `received` on. */
  readonly onChange?: (messages: readonly StoredMessage[]) => void;
}

interface State extends MessageTrackerOptions {
  readonly rows: Map<string, Row>;
  /** By delivery. Changes of a turn arrive with every frame and may wait; the end of a message may not, because callers wait for it. */
  readonly writer: DeferredWriter<TrackedSend>;
  readonly budget: MemoryBudget;
  readonly detached: DetachedPolicies;
  readonly followed: FollowedSends<TrackedSend>;
  /** Ids of the last sends of this process, which stores or discards them itself. */
  readonly opened: Set<string>;
  /** Ids of sends that the device was asked about and does not know. */
  readonly unknownToDevice: Set<string>;
  /** Ended, and not stored yet. */
  readonly ending: Map<string, TrackedSend>;
  /** Called when a message has ended and is stored, by {@link listenerKey}. */
  readonly listeners: Groups<() => void>;
}

/** The error, in events, of a message that was not sent. */
const notSentError = "The message was not sent.";

export function createMessageTracker(options: MessageTrackerOptions): MessageTracker {
  const state = createState(options);
  const { rows, writer } = state;
  const policies = createPolicyReader({
    clock: options.clock,
    findOpenMessages: (environmentId) => findOpenMessages(state, environmentId),
  });
  return {
    open: (delivery, policy = null) => open(state, delivery, policy),
    markSent({ id, scope }) {
      const entry = findEntry(state, scope.environmentId, id);
      if (entry !== undefined) apply(state, entry, { kind: "sent" });
    },
    discard({ id, scope }) {
      const entry = findEntry(state, scope.environmentId, id);
      if (entry !== undefined) abandon(state, entry);
    },
    applyOutcome: (environmentId, deliveryId, outcome) => applyOutcome(state, environmentId, deliveryId, outcome),
    readPolicies(environmentId, tenant) {
      const followed = new Set(rows.get(environmentId)?.entries.keys());
      return policies.read(environmentId, tenant, (send) => {
        if (!followed.has(send.deliveryId)) takePolicy(state, send);
      });
    },
    hadReadPolicies: (environmentId) => rows.get(environmentId)?.hadReadPolicies === true,
    connect({ environmentId, tenant }, reportsTurnEnds) {
      const hadReadPolicies = policies.take(environmentId);
      const followed = { entries: new Map(), conversations: new Map(), isRepeatedText: createTextFilter() };
      rows.set(environmentId, { tenant, reportsTurnEnds, hadReadPolicies, ...followed });
      state.detached.connect(environmentId);
    },
    resume: (environmentId) => resume(state, environmentId),
    disconnect(environmentId) {
      const row = rows.get(environmentId);
      if (row === undefined) return;
      for (const turns of row.conversations.values()) turns.close();
      for (const entry of [...row.entries.values()]) {
        if (isUnknownToDevice(row, entry)) markUnknownToDevice(state, entry);
        else markUnknown(state, entry);
      }
      rows.delete(environmentId);
    },
    forget: (environmentId) => state.detached.forget(environmentId),
    receive(environmentId, frame) {
      if (frame.runtime === null) return;
      state.detached.receive(environmentId, frame);
      const row = rows.get(environmentId);
      const turns = row?.conversations.get(conversationKey(frame.runtime));
      if (row !== undefined && turns !== undefined && !row.isRepeatedText(frame)) turns.receive(frame);
    },
    triggerOf(environmentId, conversation) {
      const entries = rows.get(environmentId)?.conversations.get(conversationKey(conversation))?.current() ?? [];
      const policies = entries.flatMap(({ policy }) => policy ?? []);
      const messageId = entries.at(-1)?.messageIds.at(-1) ?? null;
      return { messageId, policies: [...policies, ...state.detached.ofRunningTurn(environmentId, conversation)] };
    },
    policiesOf(environmentId, conversation) {
      const entries = [...(rows.get(environmentId)?.entries.values() ?? [])].filter(
        ({ scope, status }) => isSameConversation(scope, conversation) && !hasEnded(status),
      );
      const policies = entries.flatMap(({ policy }) => policy ?? []);
      return [...policies, ...state.detached.ofConversation(environmentId, conversation)];
    },
    find: (environmentId, messageId) =>
      followedOf(state, environmentId).filter((message) => message.messageId === messageId),
    followed: (environmentId) => followedOf(state, environmentId),
    onEnd(environmentId, messageId, run) {
      const key = listenerKey(environmentId, messageId);
      state.listeners.add(key, run);
      return () => void state.listeners.delete(key, run);
    },
    close: () => writer.close(),
  };
}

function listenerKey(environmentId: string, messageId: string): string {
  return JSON.stringify([environmentId, messageId]);
}

function followedOf({ rows, ending }: State, environmentId: string): readonly StoredMessage[] {
  const ended = [...ending.values()].filter(({ scope }) => scope.environmentId === environmentId);
  const entries = [...(rows.get(environmentId)?.entries.values() ?? []), ...ended];
  return entries.flatMap(toStored);
}

function createState(options: MessageTrackerOptions): State {
  const ending = new Map<string, TrackedSend>();
  return {
    ...options,
    rows: new Map(),
    writer: createDeferredWriter<TrackedSend>({
      clock: options.clock,
      delayMs: messageWriteDelayMs,
      maxWaiting: maxFollowedMessages,
      ownerOf: ({ tenant }) => tenant,
      write: (entries) => options.log.saveMessages(entries.flatMap(toStored)),
      onFailure: (cause) => options.emit({ type: "store_failed", operation: "saveMessages", cause }),
      onDone: (deliveryId) => void ending.delete(deliveryId),
    }),
    budget: createReplyBudget(),
    detached: createDetachedPolicies(),
    followed: createFollowedSends(),
    opened: new Set(),
    unknownToDevice: new Set(),
    ending,
    listeners: createGroups(),
  };
}

function open(
  state: State,
  { id, scope, userMessageIds = [] }: Delivery,
  policy: ApprovalPolicy | null,
): void | Promise<void> {
  const tenant = state.rows.get(scope.environmentId)?.tenant;
  if (tenant === undefined || userMessageIds.length === 0) return;
  dropOldest(state.opened.add(id), maxFollowedMessages);
  const now = state.wallNow();
  const send = { deliveryId: id, tenant, scope, policy, messageIds: userMessageIds, isResumed: false };
  const entry: TrackedSend = { ...send, sentAt: now, updatedAt: now, status: receivedStatus };
  if (policy === null) return begin(state, entry);
  // Without it, a process that is killed now would leave a turn without the policy of its sender.
  return state.writer.writeNow(id, entry).then(() => begin(state, entry));
}

function begin(state: State, entry: TrackedSend): void {
  const row = state.rows.get(entry.scope.environmentId);
  // The device has disconnected, so nothing will be written.
  if (row === undefined) return abandon(state, entry);
  follow(state, row, entry);
  state.onChange?.(toStored(entry));
}

/** No frame of a send was written. Readers that saw it as received see that it failed. */
function abandon(state: State, entry: TrackedSend): void {
  forget(state, entry);
  entry.status = { ...entry.status, state: "failed", error: notSentError };
  if (entry.policy === null) state.writer.cancel(entry.deliveryId);
  else void state.writer.writeNow(entry.deliveryId, entry);
  state.onChange?.(toStored(entry));
}

function apply(state: State, entry: TrackedSend, evidence: Evidence): void {
  const status = advance(entry.status, evidence);
  if (status === entry.status) return;
  const wasUnknown = entry.status.state === "unknown";
  entry.status = status;
  entry.updatedAt = state.wallNow();
  const isFollowed = findEntry(state, entry.scope.environmentId, entry.deliveryId) === entry;
  if (isFollowed && wasUnknown !== (status.state === "unknown")) state.followed.set(entry);
  state.onChange?.(toStored(entry));
  if (!hasEnded(status)) return state.writer.writeLater(entry.deliveryId, entry);
  state.detached.end(entry);
  state.ending.set(entry.deliveryId, entry);
  void state.writer.writeNow(entry.deliveryId, entry).then(() => {
    const keys = entry.messageIds.map((messageId) => listenerKey(entry.scope.environmentId, messageId));
    for (const run of keys.flatMap(state.listeners.of)) run();
  });
}

function applyOutcome(state: State, environmentId: string, deliveryId: string, outcome: DeliveryOutcome): void {
  const row = state.rows.get(environmentId);
  const entry = row?.entries.get(deliveryId);
  if (row === undefined || entry === undefined) return;
  apply(state, entry, evidenceOf(outcome));
  if (hasEnded(entry.status)) return forget(state, entry);
  const isStarted = outcome.kind === "accepted" && outcome.disposition === "started";
  if (isStarted) turnsOf(state, row, entry.scope).start(entry);
}

async function findOpenMessages({ writer, log }: State, environmentId: string): Promise<readonly StoredMessage[]> {
  // Messages followed a moment ago may not be stored yet.
  if (!(await writer.flush())) throw new Error("message statuses could not be stored");
  return log.findOpenMessages(environmentId, maxFollowedPerRow);
}

/** The device of a stored message is about to connect. One that was followed when the read began may have ended since. */
function takePolicy(state: State, send: TrackedSend): void {
  const isFollowed = findEntry(state, send.scope.environmentId, send.deliveryId) !== undefined;
  if (!isFollowed && !state.unknownToDevice.has(send.deliveryId)) state.detached.detach(send);
}

async function resume(state: State, environmentId: string): Promise<readonly Conversation[]> {
  // One after the other: what this process has not stored yet is stored first.
  const stored = await findOpenMessages(state, environmentId);
  const found = (await state.findUnsaved?.(environmentId)) ?? [];
  const unsaved = found.filter(({ deliveryId }) => !state.opened.has(deliveryId));
  const row = state.rows.get(environmentId);
  if (row === undefined) return [];
  const open = groupByDelivery([...unsaved, ...stored], row.tenant).filter(
    ({ deliveryId }) => !state.unknownToDevice.has(deliveryId),
  );
  const unsavedIds = new Set(unsaved.map(({ deliveryId }) => deliveryId));
  // The oldest first, as they were sent.
  for (const entry of open.toReversed().toSorted((left, right) => left.sentAt - right.sentAt)) {
    if (row.entries.has(entry.deliveryId)) continue;
    follow(state, row, entry);
    state.detached.detach(entry);
    turnsOf(state, row, entry.scope).handleDisconnect();
    // From now on it is listed, even if the device does not know it.
    if (unsavedIds.has(entry.deliveryId)) state.writer.writeLater(entry.deliveryId, entry);
  }
  // Includes the conversations of an earlier call: if its caller failed afterwards, the device was not asked about them.
  return open.map(({ scope }) => scope);
}

function follow(state: State, row: Row, entry: TrackedSend): void {
  row.entries.set(entry.deliveryId, entry);
  state.followed.set(entry);
  for (const earlier of turnsOf(state, row, entry.scope).add(entry)) {
    state.writer.cancel(earlier.deliveryId);
    forget(state, earlier);
  }
  const excess = excessOf(row) ?? state.followed.excess();
  if (excess !== undefined) markUnknown(state, excess);
}

function forget({ rows, followed }: State, entry: TrackedSend): void {
  const row = rows.get(entry.scope.environmentId);
  if (row?.entries.get(entry.deliveryId) === entry) row.entries.delete(entry.deliveryId);
  row?.conversations.get(conversationKey(entry.scope))?.remove(entry);
  followed.delete(entry);
}

/** The send of a row to give up because there are too many: the oldest one of unknown state, if there is one. */
function excessOf({ entries }: Row): TrackedSend | undefined {
  if (entries.size <= maxFollowedPerRow) return undefined;
  const [oldest] = entries.values();
  for (const entry of entries.values()) if (entry.status.state === "unknown") return entry;
  return oldest;
}

/** Whether the device was asked about a send, and its reports show that it does not know it: no turn ran, and the send did not wait. */
function isUnknownToDevice({ conversations }: Row, { isResumed, status, scope }: TrackedSend): boolean {
  return (
    isResumed &&
    status.state === "unknown" &&
    conversations.get(conversationKey(scope))?.reportedIdleAndQueue() === true
  );
}

/** Does not ask the device about a send again. */
function markUnknownToDevice(state: State, entry: TrackedSend): void {
  state.unknownToDevice.add(entry.deliveryId);
  dropOldest(state.unknownToDevice, maxFollowedMessages);
  forget(state, entry);
}

/** A message that can no longer be followed is unknown. */
function markUnknown(state: State, entry: TrackedSend): void {
  // It is not known whether it belongs to the turn that runs, unless it has ended and could only learn the reason.
  if (!hasEnded(entry.status)) state.detached.detach(entry);
  apply(state, entry, { kind: "lost" });
  forget(state, entry);
}

function findEntry({ rows }: State, environmentId: string, deliveryId: string): TrackedSend | undefined {
  return rows.get(environmentId)?.entries.get(deliveryId);
}

function turnsOf(state: State, row: Row, scope: Conversation): ConversationTurns {
  const key = conversationKey(scope);
  const { reportsTurnEnds, conversations } = row;
  const turns =
    conversations.get(key) ??
    createConversationTurns({
      clock: state.clock,
      reply: createReplyCollector(state.budget, row.tenant),
      reportsTurnEnds,
      apply: (entry, evidence) => apply(state, entry, evidence),
      release: (entry) => forget(state, entry),
    });
  // The conversation that was used last is the last one.
  conversations.delete(key);
  conversations.set(key, turns);
  for (const [oldKey, old] of conversations) {
    if (conversations.size <= maxConversationsPerDevice) break;
    old.close();
    for (const entry of [...row.entries.values()])
      if (conversationKey(entry.scope) === oldKey) markUnknown(state, entry);
    conversations.delete(oldKey);
  }
  return turns;
}
