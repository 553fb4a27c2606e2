/**
 * Builds a conversation for people from the events of a device: messages, texts of the agent, tool calls, errors. Nothing from a device
 * is trusted: only known members of the right type are used, and views show texts as plain text.
 */
import type { MessageStatus, StreamedEvent } from "@letta-environments/client";
import { isRecord } from "@letta-environments/schema/guards";

/** A tool call of a turn. */
export interface ToolCall {
  readonly kind: "tool";
  readonly key: string;
  readonly tool: string;
  /** JSON of the arguments, which may still be incomplete. */
  readonly input: string;
  readonly result: string;
  /** `stopped`: its turn has ended without its result. */
  readonly state: "called" | "running" | "done" | "failed" | "stopped";
}

/** A message of a conversation. */
export interface SentEntry {
  readonly kind: "sent";
  readonly key: string;
  readonly text: string;
  /** `null`: it is being sent to the gateway. */
  readonly status: MessageStatus | null;
  /** The tab restored it from before the events of this view, and no event has mentioned it since. */
  readonly isKept?: true;
}

/** An entry of a conversation. */
export type Entry =
  | SentEntry
  | { readonly kind: "text" | "reasoning"; readonly key: string; readonly text: string }
  | ToolCall
  | { readonly kind: "error" | "notice" | "gap"; readonly key: string; readonly text: string };

/** A conversation of an agent. */
export interface ConversationTarget {
  readonly agentId: string;
  readonly conversationId: string;
}

/** A conversation with its entries. */
export interface Conversation extends ConversationTarget {
  readonly entries: readonly Entry[];
}

/** Entries that are kept; the oldest are dropped. */
const maxEntries = 1_000;
/** The longest text of an entry, in characters. */
const maxText = 200_000;

/** Shortens a text, and says so. Shortening it again, with more text after it, changes nothing. */
function shortened(text: string): string {
  return text.length > maxText ? `${text.slice(0, maxText)}\n… The rest is not shown.` : text;
}

/** Adds a message that this page has sent. */
export function addSent(entries: readonly Entry[], messageId: string, text: string): readonly Entry[] {
  const key = `sent ${messageId}`;
  if (entries.some((entry) => entry.key === key)) return entries;
  return limited([...entries, { kind: "sent", key, text, status: null }]);
}

/** The id of the message of an entry. */
export function messageIdOf({ key }: Entry): string {
  return key.slice("sent ".length);
}

/** The state of a message as the page that sends it knows it. `refused`: the device did not receive it. `failed`: the device did not accept it. */
export type LocalState = "sending" | "accepted" | "refused" | "unknown" | "failed";

/** Whether the outcome of a message in a state is still open. */
export function isOpenState(state: string): boolean {
  return openStates.includes(state);
}

const openStates = ["received", "sent", "unknown"];

/** Whether a message is queued, runs, or waits for a permission, so that there is something to stop. */
export function isBusy(entries: readonly Entry[]): boolean {
  return hasMessage(entries, ["received", "sent", "accepted", ...turnStates]);
}

/** Whether the agent works on a message. */
export function isRunning(entries: readonly Entry[]): boolean {
  return hasMessage(entries, ["running"]);
}

const turnStates = ["running", "waiting_for_approval"];

function hasMessage(entries: readonly Entry[], states: readonly string[], key?: string): boolean {
  return entries.some(
    (entry) =>
      entry.kind === "sent" &&
      (key === undefined || entry.key === key) &&
      states.includes(entry.status?.state ?? "sent"),
  );
}

/** Notes what this page knows about a message. An outcome reported by an event takes precedence. */
export function addLocalState(
  entries: readonly Entry[],
  message: Readonly<Record<"id" | "deviceId" | "agentId" | "conversationId" | "text", string>> & {
    readonly sentAt: number;
  },
  state: LocalState,
): readonly Entry[] {
  const { id: clientMessageId, deviceId, agentId, conversationId, text, sentAt } = message;
  const key = `sent ${clientMessageId}`;
  if (state === "refused") return entries.filter((entry) => entry.key !== key);
  const next = addSent(entries, clientMessageId, text);
  return state === "sending" || !hasMessage(next, openStates, key)
    ? next
    : addStatus(next, { clientMessageId, deviceId, agentId, conversationId, sentAt, state });
}

/** Adds a message that the tab has kept from before. Past events arrive later, but are placed before it. */
export function addKept(...[entries, message, state]: Parameters<typeof addLocalState>): readonly Entry[] {
  const key = `sent ${message.id}`;
  return addLocalState(entries, message, state).map((entry) =>
    entry.kind === "sent" && entry.key === key ? { ...entry, isKept: true } : entry,
  );
}

/** Returns the text of a message by its id; empty if it is not known. */
export type TextOf = (messageId: string) => string;

/** Adds an event of the device to its conversation. */
export function addEvent(
  entries: readonly Entry[],
  event: StreamedEvent,
  sentText: TextOf = () => "",
): readonly Entry[] {
  if (event.type === "message") return addStatus(entries, event.message, sentText);
  if (event.type === "gap") return append(entries, { kind: "gap", key: event.id, text: gapText(event.reason) });
  if (event.type !== "output" || event.subagentId !== undefined) return entries;
  return addDelta(entries, event.delta, event.id);
}

/** Adds the status of a message to its entry, or an entry for a message that this page has not sent. */
export function addStatus(
  entries: readonly Entry[],
  status: MessageStatus,
  sentText: TextOf = () => "",
): readonly Entry[] {
  const key = `sent ${status.clientMessageId}`;
  const isKnown = entries.some((entry) => entry.key === key);
  const next = isKnown
    ? entries.map((entry) =>
        entry.kind === "sent" && entry.key === key ? { kind: "sent" as const, key, text: entry.text, status } : entry,
      )
    : insertSent(entries, { kind: "sent", key, text: sentText(status.clientMessageId), status });
  // A message that is removed from the queue ends no turn.
  const isEnd = status.state === "finished" || (status.state === "cancelled" && hasMessage(entries, turnStates, key));
  return isEnd ? next.map(stopped) : next;
}

/** A tool call whose turn has ended. */
function stopped(entry: Entry): Entry {
  const isOpen = entry.kind === "tool" && (entry.state === "called" || entry.state === "running");
  return isOpen ? { ...entry, state: "stopped" } : entry;
}

/**
 * Inserts a message before those that were sent later. If its turn has begun and the output of the conversation has no message yet, the
 * message goes before the output, which belongs to it.
 */
export function insertSent(entries: readonly Entry[], message: SentEntry): readonly Entry[] {
  const isLater = (entry: Entry): boolean => entry.kind === "sent" && sentAtOf(entry) > sentAtOf(message);
  const later = entries.findIndex(isLater);
  const index = later === -1 ? entries.length : later;
  const { state = "sent" } = message.status ?? {};
  const hasBegun = !isOpenState(state) && state !== "accepted";
  const isFirst = !entries.slice(0, index).some(({ kind }) => kind === "sent");
  return limited(entries.toSpliced(hasBegun && isFirst ? 0 : index, 0, message));
}

/** When a message was sent, in epoch milliseconds. One without a status is being sent. */
function sentAtOf({ status }: SentEntry): number {
  return status === null ? Number.MAX_SAFE_INTEGER : (status.sentAt ?? Number.MAX_SAFE_INTEGER);
}

function addDelta(
  entries: readonly Entry[],
  delta: Readonly<Record<string, unknown>>,
  eventId: string,
): readonly Entry[] {
  const id = textOf(delta["id"]) || eventId;
  switch (delta["message_type"]) {
    case "user_message": {
      // The device repeats the messages that it received; the status of a message does not have its text.
      const key = `sent ${textOf(delta["otid"])}`;
      const text = shortened(contentOf(delta["content"]));
      return entries.map((entry) =>
        entry.kind === "sent" && entry.key === key && entry.text === "" ? { ...entry, text } : entry,
      );
    }
    case "assistant_message":
      return addText(entries, "text", `text ${id}`, contentOf(delta["content"]));
    case "reasoning_message":
      return addText(
        entries,
        "reasoning",
        `reasoning ${id}`,
        textOf(delta["reasoning"]) || contentOf(delta["content"]),
      );
    case "approval_request_message":
    case "tool_call_message": {
      let next = entries;
      for (const call of [delta["tool_call"], delta["tool_calls"]].flat()) {
        if (!isRecord(call)) continue;
        next = changeTool(next, textOf(call["tool_call_id"]), (present) => ({
          ...present,
          tool: present.tool || textOf(call["name"]),
          input: shortened(present.input + textOf(call["arguments"])),
        }));
      }
      return next;
    }
    case "client_tool_start":
      return changeTool(entries, textOf(delta["tool_call_id"]), (present) => ({
        ...present,
        tool: textOf(delta["tool_name"]) || present.tool,
        input: textOf(delta["tool_args"]) || present.input,
        state: "running",
      }));
    case "client_tool_end":
      return changeTool(entries, textOf(delta["tool_call_id"]), (present) => ({
        ...present,
        state: delta["status"] === "error" ? "failed" : "done",
      }));
    case "tool_return_message":
      return changeTool(entries, textOf(delta["tool_call_id"]), (present) => ({
        ...present,
        result: shortened(contentOf(delta["tool_return"])),
        state: delta["status"] === "error" ? "failed" : "done",
      }));
    case "loop_error":
      return append(entries, {
        kind: "error",
        key: `error ${eventId}`,
        text: textOf(delta["message"]) || "The turn failed.",
      });
    case "status":
    case "retry": {
      const text = textOf(delta["message"]);
      return text === "" ? entries : append(entries, { kind: "notice", key: `notice ${eventId}`, text });
    }
    default:
      return entries;
  }
}

function addText(entries: readonly Entry[], kind: "text" | "reasoning", key: string, text: string): readonly Entry[] {
  if (text === "") return entries;
  const last = entries.findLastIndex((entry) => entry.key === key);
  if (last === -1) return append(entries, { kind, key, text: shortened(text) });
  return entries.map((entry, index) =>
    index === last && entry.kind === kind ? { ...entry, text: shortened(entry.text + text) } : entry,
  );
}

function changeTool(entries: readonly Entry[], id: string, change: (present: ToolCall) => ToolCall): readonly Entry[] {
  if (id === "") return entries;
  const key = `tool ${id}`;
  const isKnown = entries.some((entry) => entry.key === key);
  if (!isKnown) {
    return append(entries, change({ kind: "tool", key, tool: "", input: "", result: "", state: "called" }));
  }
  return entries.map((entry) => (entry.kind === "tool" && entry.key === key ? change(entry) : entry));
}

/** Adds output before messages at the end that were kept from before. */
function append(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  const last = entries.findLastIndex((each) => each.kind !== "sent" || each.isKept !== true);
  return limited(entries.toSpliced(last + 1, 0, entry));
}

function limited(entries: readonly Entry[]): readonly Entry[] {
  return entries.length > maxEntries ? entries.slice(-maxEntries) : entries;
}

function gapText(reason: string): string {
  return reason === "output_expired" ? "Earlier output is no longer kept." : "Some events are missing here.";
}

function contentOf(content: unknown): string {
  if (!Array.isArray(content)) return textOf(content);
  return content.map((part: unknown) => (isRecord(part) ? textOf(part["text"]) : "")).join("");
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
