/**
 * The devices, kept up to date by one stream of events. Changes are applied together, a few times a second: a thousand devices that change
 * every second would otherwise draw the page a thousand times.
 */
import {
  type Environment,
  isLettaEnvironmentsError,
  listAllEnvironments,
  type StreamedEvent,
  streamEvents,
} from "@letta-environments/client";
import { batch, computed, type ReadonlySignal, signal, type Signal } from "@preact/signals";
import { now } from "../platform/browser.ts";
import { mergePatch } from "../model/merge-patch.ts";
import { connection, failureText, transport } from "./api.ts";
import { noteEvent } from "./checkpoints.ts";
import { hasExtensions } from "./session.ts";

/** The devices by the id of their row. Each has its own signal, so that a change draws one row. */
export const rows: Signal<ReadonlyMap<string, Signal<Environment>>> = signal(new Map());

/** Whether the list was read; `error`: why it was not. */
export const loading = signal<
  { readonly kind: "loading" | "ready" } | { readonly kind: "error"; readonly text: string }
>({
  kind: "loading",
});

/** Increases when a member changes by which lists are filtered or sorted. */
export const revision = signal(0);

/** Messages that wait in queues, by device. Only what happened since the page was opened is known. */
export const queued: Signal<ReadonlyMap<string, ReadonlySet<string>>> = signal(new Map());

/** All devices, in no order. */
export const devices: ReadonlySignal<readonly Environment[]> = computed(() => {
  void revision.value;
  return [...rows.value.values()].map((row) => row.peek());
});

/** Returns the row of a device: the connected one, else the latest. */
export function findDevice(deviceId: string): Environment | null {
  const own = [...rows.value.values()].map((row) => row.value).filter((row) => row.deviceId === deviceId);
  return (
    own.find(({ connectionId }) => connectionId !== null) ??
    own.toSorted((a, b) => b.lastSeenAt - a.lastSeenAt)[0] ??
    null
  );
}

/** Milliseconds between two applications of changes. */
const applyMs = 500;
const pollMs = 5_000;

type Listener = (event: StreamedEvent) => void;
const listeners = new Set<Listener>();

/** Calls a function with every event. Returns a function that ends it. */
export function onEvent(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Called when the stream opens and when events are missing: read again what requests have read. */
const refreshers = new Set<() => void>();

/** Calls a function whenever what was read by requests may be old. */
export function onRefresh(refresh: () => void): void {
  refreshers.add(refresh);
}

/** Reads the list, and follows events until the signal is aborted. */
export async function follow(signalOfEnd: AbortSignal): Promise<void> {
  let waiting: StreamedEvent[] = [];
  let timer: ReturnType<typeof setTimeout> | null = null;
  const apply = (): void => {
    timer = null;
    const events = waiting;
    waiting = [];
    batch(() => applyEvents(events));
    for (const event of events) for (const listener of listeners) listener(event);
  };
  const refresh = async (): Promise<boolean> => {
    const wasRead = await readList(signalOfEnd);
    for (const run of refreshers) run();
    return wasRead;
  };
  if (!hasExtensions()) return poll(refresh, signalOfEnd);
  const onOpen = (): void => {
    connection.value = "live";
    void refresh();
  };
  try {
    for await (const event of streamEvents(transport, { signal: signalOfEnd, onOpen })) {
      noteEvent(event.id);
      if (event.type === "gap") void refresh();
      waiting.push(event);
      timer ??= setTimeout(apply, applyMs);
    }
  } catch (error) {
    if (signalOfEnd.aborted || (isLettaEnvironmentsError(error) && error.status === 401)) return;
    await poll(refresh, signalOfEnd);
  }
}

/** Reads the list every 5 s, for gateways without events. */
async function poll(refresh: () => Promise<boolean>, signalOfEnd: AbortSignal): Promise<void> {
  while (!signalOfEnd.aborted) {
    connection.value = (await refresh()) ? "polling" : "lost";
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Reads the list, and resolves with whether that worked. A failure shows the devices of the last list, if there is one. */
async function readList(signalOfEnd: AbortSignal): Promise<boolean> {
  try {
    const read = new Map<string, Signal<Environment>>();
    for await (const environment of listAllEnvironments(transport, {}, { signal: signalOfEnd })) {
      const known = rows.peek().get(environment.id);
      if (known !== undefined) known.value = environment;
      read.set(environment.id, known ?? signal(environment));
    }
    batch(() => {
      rows.value = read;
      revision.value += 1;
      loading.value = { kind: "ready" };
    });
    return true;
  } catch (error) {
    if (!signalOfEnd.aborted && loading.value.kind === "loading")
      loading.value = { kind: "error", text: failureText(error) };
    return false;
  }
}

function applyEvents(events: readonly StreamedEvent[]): void {
  let next: Map<string, Signal<Environment>> | null = null;
  for (const event of events) {
    if (event.type === "message") noteQueue(event.deviceId, event.message);
    if (event.type !== "environment") continue;
    const id = String(event.environment["id"]);
    const row = (next ?? rows.peek()).get(id);
    if (event.removed === true) {
      next ??= new Map(rows.peek());
      next.delete(id);
    } else if (row === undefined) {
      next ??= new Map(rows.peek());
      next.set(id, signal(mergePatch(emptyRow(), event.environment)));
    } else {
      const changed = mergePatch(row.peek(), event.environment);
      row.value = { ...changed, lastSeenAt: now() };
    }
  }
  if (next !== null) rows.value = next;
  if (events.some(({ type }) => type === "environment")) revision.value += 1;
}

function noteQueue(
  deviceId: string,
  message: { readonly clientMessageId: string; readonly state: string; readonly disposition?: string },
): void {
  const present = queued.peek().get(deviceId) ?? new Set<string>();
  const isQueued = message.state === "accepted" && message.disposition === "queued";
  if (isQueued === present.has(message.clientMessageId)) return;
  const changed = new Set(present);
  if (isQueued) changed.add(message.clientMessageId);
  else changed.delete(message.clientMessageId);
  queued.value = new Map(queued.peek()).set(deviceId, changed);
}

function emptyRow(): Environment {
  const none = { connectedAt: null, connectionId: null, lastHeartbeat: null, podId: null };
  const time = now();
  return { id: "", deviceId: "", connectionName: "", organizationId: "", firstSeenAt: time, lastSeenAt: time, ...none };
}
