/** The conversations of one device while its view is open, from its events and the messages that this page sends. */
import { type ConversationInput, setMode, stop, type StreamedEvent } from "@letta-environments/client";
import { batch, computed, effect, type ReadonlySignal, signal, type Signal } from "@preact/signals";
import { now, randomId, readStored, writeStored } from "../platform/browser.ts";
import { recallText, rememberText } from "../platform/tab.ts";
import {
  addEvent,
  addKept,
  addLocalState,
  type Conversation,
  type ConversationTarget,
  type Entry,
  type LocalState,
} from "../model/conversation.ts";
import { failureText, followEvents, transport } from "./api.ts";
import { type DeviceHistory, openHistory } from "./history.ts";
import { withListed } from "./merged-history.ts";
import { deliver, onSend, openSends, type Send, settle } from "./sends.ts";
import { hasExtensions, may } from "./session.ts";
import { toast } from "./toasts.ts";

/** The conversations of a device. */
export interface DeviceConversations {
  /** The conversations by their key, the latest last. */
  readonly all: Signal<ReadonlyMap<string, Conversation>>;
  /** The conversation that is shown, and receives messages. */
  readonly target: Signal<ConversationTarget>;
  /** The entries of that conversation, from events and, for the time before, from the list of messages. */
  readonly entries: ReadonlySignal<readonly Entry[]>;
  /** The list of the device's messages. */
  readonly history: DeviceHistory;
  /** How often events were missing. */
  readonly gaps: Signal<number>;
  /** Why no events arrive; `null` if they do; `undefined`: past events have not arrived yet. */
  readonly failure: Signal<string | null | undefined>;
  select(target: ConversationTarget): void;
  /** Pins the shown conversation, because the user begins to act on it: no event selects another one any more. */
  pin(): void;
  /** Sends a message. Resolves with whether the device has it, or may have it. */
  send(connectionId: string, text: string): Promise<boolean>;
  stop(): Promise<void>;
  setMode(mode: string): Promise<void>;
  close(): void;
}

/** Past events arrive when the stream opens, each within this time after the previous one, in milliseconds. */
const pastMs = 1_000;
/**
 * How long events are collected before they are applied together, in milliseconds: each redraws the page, and an agent writes many words a
 * second.
 */
const applyMs = 50;
/** The longest time that they may take, for a device that is never idle, in milliseconds. */
const longestPastMs = 30_000;

const noEvents = "What happens on the device is not shown: this gateway has no events.";

/** Identifies a conversation. */
export function conversationKey({ agentId, conversationId }: ConversationTarget): string {
  return `${agentId} ${conversationId}`;
}

/** Whether neither an agent nor a conversation is named, so that no agent could run a message. */
export function isNameless({ agentId, conversationId }: ConversationTarget): boolean {
  return agentId === "" && conversationId === "default";
}

/** The conversation that is shown. */
interface Shown {
  readonly target: Signal<ConversationTarget>;
  /** The stream of events is open, and begins with the past. */
  open(): void;
  /** An event arrives. Returns whether it belongs to the past. */
  arrive(): boolean;
  /** Something has happened in a conversation. */
  propose(to: ConversationTarget, isPast?: boolean): void;
  /** The user acts on the shown conversation. */
  pin(): void;
}

/**
 * Chooses the conversation that is shown: the latest of the past, or the first of a device without a past. Afterwards only the user changes it:
 * the next message, Stop or mode must not go elsewhere.
 */
function createShown(deviceId: string): Shown {
  const target = signal(readTarget(deviceId));
  let isChosen = !isNameless(target.value);
  let [pastUntil, pastEnd] = [0, 0];
  return {
    target,
    open() {
      if (pastEnd === 0) [pastUntil, pastEnd] = [now() + pastMs, now() + longestPastMs];
    },
    arrive() {
      const isPast = now() < pastUntil;
      if (isPast) pastUntil = Math.min(now() + pastMs, pastEnd);
      return isPast;
    },
    propose(to, isPast = false) {
      if (!isChosen && (isPast || isNameless(target.value))) target.value = to;
    },
    pin() {
      isChosen = true;
    },
  };
}

/** The conversation of a message or an event. */
function targetOf(of: { readonly agentId: string | null; readonly conversationId: string }): ConversationTarget {
  return { agentId: of.agentId ?? "", conversationId: of.conversationId };
}

/** The entries of a conversation without events: always the same, so that nothing is drawn again. */
const nothing: readonly Entry[] = [];

const sentText = (id: string): string => recallText("sent", id);

/**
 * Returns a function that collects events for a short time and applies them together. In a hidden tab, whose timers are late, that can be long after
 * they arrived.
 */
function together(
  arrive: Shown["arrive"],
  apply: (event: StreamedEvent, isPast: boolean) => void,
): (event: StreamedEvent) => void {
  let waiting: (readonly [event: StreamedEvent, isPast: boolean])[] = [];
  return (event) => {
    if (waiting.push([event, arrive()]) > 1) return;
    setTimeout(() => {
      const events = waiting;
      waiting = [];
      batch(() => events.forEach((each) => apply(...each)));
    }, applyMs);
  };
}

/** Opens the conversations of a device. */
export function openConversations(deviceId: string): DeviceConversations {
  const all: Signal<ReadonlyMap<string, Conversation>> = signal(new Map());
  const shown = createShown(deviceId);
  const { target, pin } = shown;
  const failure = signal<string | null | undefined>(undefined);
  const gaps = signal(0);
  const ended = new AbortController();

  function change(to: ConversationTarget, apply: (entries: readonly Entry[]) => readonly Entry[]): void {
    const { agentId, conversationId } = to;
    const key = conversationKey(to);
    const entries = apply(all.value.get(key)?.entries ?? []);
    const others = [...all.value].filter(([other]) => other !== key);
    all.value = new Map([...others, [key, { agentId, conversationId, entries }]]);
  }

  function receive(event: StreamedEvent, isPast: boolean): void {
    if (event.type === "gap") {
      gaps.value += 1;
      for (const conversation of all.value.values()) change(conversation, (entries) => addEvent(entries, event));
      return;
    }
    if (event.type !== "message" && event.type !== "output") return;
    const to = targetOf(event.type === "message" ? event.message : event);
    change(to, (entries) => addEvent(entries, event, sentText));
    if (event.type === "message") settle(event.message);
    shown.propose(to, isPast);
  }

  async function follow(): Promise<void> {
    if (!hasExtensions()) return void (failure.value = noEvents);
    const isMissing = await followEvents({
      deviceId,
      include: may("view") ? "output" : undefined,
      lastEventId: "oldest",
      signal: ended.signal,
      onOpen() {
        if (failure.value !== undefined) failure.value = null;
        setTimeout(() => (failure.value ??= null), pastMs);
        shown.open();
      },
      onEvent: together(shown.arrive, receive),
      onFailure: (text) => (failure.value = `What happens on the device is not shown: ${text}`),
    });
    if (isMissing) failure.value = noEvents;
  }

  function show(send: Send, state: LocalState, add = addLocalState): void {
    if (send.deviceId === deviceId) change(send, (entries) => add(entries, send, state));
  }

  for (const send of openSends.peek().values()) show(send, send.isBusy ? "sending" : "unknown", addKept);
  const forget = onSend((send, state) => show(send, state));
  void follow();
  const listed = openListed(deviceId, all, shown);
  return {
    ...{ all, target, gaps, failure, pin },
    ...{ history: listed.history, entries: listed.entries },
    select(to) {
      pin();
      target.value = to;
      writeStored("localStorage", `target:${deviceId}`, to);
    },
    async send(connectionId, text) {
      pin();
      const to = target.value;
      const id = randomId();
      rememberText("sent", id, text);
      const isTaken = await deliver({ id, deviceId, connectionId, ...to, text, sentAt: now(), isBusy: true });
      if (isTaken) writeStored("localStorage", `target:${deviceId}`, to);
      return isTaken;
    },
    ...createControls(deviceId, target, pin),
    close() {
      ended.abort();
      listed.close();
      forget();
    },
  };
}

/** Opens the list of messages: it selects the conversation to show if nothing else does, and completes its entries. */
function openListed(
  deviceId: string,
  all: DeviceConversations["all"],
  { target, propose }: Shown,
): Pick<DeviceConversations, "history" | "entries" | "close"> {
  const history = openHistory(deviceId);
  // Separate signals: an event of another conversation, or the start of a request for the list, must not look like new output.
  const said = computed(() => all.value.get(conversationKey(target.value))?.entries ?? nothing);
  const messages = computed(() => history.state.value.messages);
  return {
    history,
    entries: computed(() => {
      const key = conversationKey(target.value);
      const listed = messages.value.filter((message) => conversationKey(targetOf(message)) === key);
      return withListed(said.value, listed, sentText);
    }),
    close: effect(() => {
      const [latest] = history.state.value.messages;
      if (latest !== undefined && isNameless(target.peek())) propose(targetOf(latest));
    }),
  };
}

/** Stops the turn of the selected conversation, and changes its mode. */
function createControls(
  deviceId: string,
  target: Signal<ConversationTarget>,
  pin: () => void,
): Pick<DeviceConversations, "stop" | "setMode"> {
  const conversation = (): ConversationInput => {
    const { agentId, conversationId } = target.value;
    return { conversationId, ...(agentId !== "" && { agentId }) };
  };
  return {
    async stop() {
      pin();
      const result = await attempt(() => stop(transport, { deviceId }, conversation()));
      if (result !== null) toast("good", result.stopped ? "Stopped" : "Nothing was running");
    },
    async setMode(mode) {
      pin();
      const result = await attempt(() => setMode(transport, { deviceId }, mode, conversation()));
      if (result !== null) toast("good", `The mode is now ${result.mode}`);
    },
  };
}

/** Runs a request. A failure shows a message and resolves with `null`. */
async function attempt<Result>(run: () => Promise<Result>): Promise<Result | null> {
  try {
    return await run();
  } catch (error) {
    toast("bad", failureText(error, "change"));
    return null;
  }
}

function readTarget(deviceId: string): ConversationTarget {
  const value = readStored("localStorage", `target:${deviceId}`) as Partial<ConversationTarget> | null;
  const { agentId = "", conversationId = "default" } = value ?? {};
  return typeof agentId === "string" && typeof conversationId === "string"
    ? { agentId, conversationId }
    : { agentId: "", conversationId: "default" };
}
