/**
 * The messages that this tab sends. A message with an unknown outcome is kept, even across a reload, so that it can be repeated with the
 * same id and body: it never runs twice. See `docs/problems/delivery_unknown.md`.
 */
import { isLettaEnvironmentsError, type MessageStatus, sendMessage } from "@letta-environments/client";
import { effect, signal, type Signal } from "@preact/signals";
import { isOpenState, type LocalState } from "../model/conversation.ts";
import { now, readStored, writeStored } from "../platform/browser.ts";
import { failureText, recognisedSeconds, transport } from "./api.ts";
import { findDevice } from "./environments.ts";
import { info } from "./session.ts";
import { toast } from "./toasts.ts";

/** A message. */
export interface Send {
  readonly id: string;
  readonly deviceId: string;
  readonly connectionId: string;
  readonly agentId: string;
  readonly conversationId: string;
  readonly text: string;
  /** Epoch milliseconds. */
  readonly sentAt: number;
  /** Whether a request with it is in flight. */
  readonly isBusy: boolean;
}

/** The messages whose outcome is not known yet, by id. */
export const openSends: Signal<ReadonlyMap<string, Send>> = signal(new Map());

// The tab forgets them when another key signs in.
effect(() => {
  void info.value?.keyId;
  const kept = readStored("sessionStorage", "open");
  const sends = Array.isArray(kept) ? (kept as readonly Send[]) : [];
  // A request in flight ended with the page that sent it.
  openSends.value = new Map(sends.map((send) => [send.id, { ...send, isBusy: false }]));
});

/** Whether a repeat is still recognised when it arrives; a later one could run the message again. The last tenth of the time is left for its way. */
export function isRepeatable({ sentAt }: Send, nowMs: number): boolean {
  return nowMs - sentAt < recognisedSeconds.value * 900;
}

type Listener = (send: Send, state: LocalState) => void;
const listeners = new Set<Listener>();

/** Calls a function with the outcome of each message. Returns a function that ends it. */
export function onSend(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Sends a message. Resolves with whether the device has it, or may have it. */
export async function deliver(send: Send): Promise<boolean> {
  put({ ...send, isBusy: true });
  tell(send, "sending");
  const failure = await attempt(send);
  // An event has reported the outcome, or the session has ended.
  if (!openSends.peek().has(send.id)) return true;
  if (failure === null || !failure.isUnknown) {
    remove(send.id);
    tell(send, failure === null ? "accepted" : "refused");
  } else keepOpen(send);
  if (failure !== null) toast("bad", failure.text);
  return failure === null || failure.isUnknown;
}

/** Repeats a message whose outcome is not known. */
export async function repeat(id: string): Promise<void> {
  const kept = openSends.peek().get(id);
  if (kept === undefined || kept.isBusy || !isRepeatable(kept, now())) return;
  // The device may have reconnected. If it has no connection, the gateway still knows the outcome under the old one.
  const send = { ...kept, connectionId: findDevice(kept.deviceId)?.connectionId ?? kept.connectionId };
  put({ ...send, isBusy: true });
  const failure = await attempt(send);
  if (!openSends.peek().has(id)) return;
  if (failure === null || failure.isRejected) {
    remove(id);
    tell(send, failure === null ? "accepted" : "failed");
  } else keepOpen(send); // The refusal of this attempt says nothing about the first one.
  if (failure !== null) toast("bad", failure.text);
}

/** Notes the state of a message that an event reports. */
export function settle({ clientMessageId, state }: MessageStatus): void {
  if (!isOpenState(state) && openSends.peek().has(clientMessageId)) remove(clientMessageId);
}

interface SendFailure {
  /** Whether the device may have the message. */
  readonly isUnknown: boolean;
  /** Whether the device has refused it. */
  readonly isRejected: boolean;
  readonly text: string;
}

async function attempt({ id, connectionId, agentId, conversationId, text }: Send): Promise<SendFailure | null> {
  const messages = [{ role: "user" as const, content: text, client_message_id: id }];
  try {
    const body = { ...(agentId !== "" && { agentId }), conversationId, messages };
    const { outcome } = await sendMessage(transport, connectionId, body);
    if (outcome !== "refused") return null;
    return { isUnknown: false, isRejected: true, text: "The device did not accept the message." };
  } catch (error) {
    const isRefused = isLettaEnvironmentsError(error) && error.outcome === "refused";
    if (!isRefused)
      return { isUnknown: true, isRejected: false, text: "It is not known whether the device received the message." };
    return { isUnknown: false, isRejected: error.code === "input_rejected", text: failureText(error) };
  }
}

function keepOpen(send: Send): void {
  put({ ...send, isBusy: false });
  tell(send, "unknown");
}

function put(send: Send): void {
  change(new Map(openSends.peek()).set(send.id, send));
}

function remove(id: string): void {
  change(new Map([...openSends.peek()].filter(([other]) => other !== id)));
}

function change(sends: ReadonlyMap<string, Send>): void {
  openSends.value = sends;
  writeStored("sessionStorage", "open", [...sends.values()]);
}

function tell(send: Send, state: LocalState): void {
  for (const listener of listeners) listener(send, state);
}
