/**
 * The devices, kept up to date by one stream of events. Changes are applied together, a few times a second: a thousand devices that change
 * every second would otherwise redraw the page a thousand times.
 */
import { type Environment, listAllEnvironments, type StreamedEvent } from "@letta-environments/client";
import { batch, computed, effect, type ReadonlySignal, signal, type Signal, untracked } from "@preact/signals";
import { now, onNetworkChange, pause } from "../platform/browser.ts";
import { mergePatch } from "../model/merge-patch.ts";
import { connection, connectionFailure, failureText, followEvents, transport } from "./api.ts";
import { hasExtensions, session } from "./session.ts";

/** The devices by the id of their row. Each has its own signal, so that a change draws one row. */
export const rows: Signal<ReadonlyMap<string, Signal<Environment>>> = signal(new Map());

/** Whether the list was read; `error`: why it was not. */
export const loading = signal<
  { readonly kind: "loading" | "ready" } | { readonly kind: "error"; readonly text: string }
>({
  kind: "loading",
});

/** Increases when a member that lists are filtered or sorted by changes. */
export const revision = signal(0);

/** Messages that wait in queues, by device. Only changes since the page was opened are known. */
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
/** Milliseconds until a list that could not be read is read again. */
const rereadMs = 30_000;

/** Another part of the page that is read with requests and kept up to date by events. */
interface Follower {
  /** Receives the events that are applied together. */
  readonly onEvents: (events: readonly StreamedEvent[]) => void;
  /** Called when the stream opens and when events are missing: reads its data again. */
  readonly refresh: () => void;
  /** Called when the session ends: forgets its data. */
  readonly forget: () => void;
}

const followers: Follower[] = [];

/** Adds a follower. */
export function addFollower(follower: Follower): void {
  followers.push(follower);
}

const attempt = signal(0);
/** The last event of the session, after which the next stream begins. */
let lastEventId: string | undefined;

/** Opens the stream of events again, without the wait after a failure. */
export function reconnect(): void {
  attempt.value += 1;
}

/** Follows the devices of each session. The data of a session is forgotten with it, because the next one may see less. */
export function followSessions(): void {
  // Also when the network is lost: a gateway on this machine still responds, and the loss of any other one shows immediately, not after a long
  // silence.
  onNetworkChange(reconnect);
  effect(() => (session.value.kind === "signed_in" ? forget : undefined));
  effect(() => {
    void attempt.value;
    if (session.value.kind !== "signed_in") return undefined;
    const ended = new AbortController();
    void untracked(() => follow(ended.signal));
    return () => ended.abort();
  });
}

function forget(): void {
  batch(() => {
    lastEventId = undefined;
    rows.value = new Map();
    queued.value = new Map();
    loading.value = { kind: "loading" };
    for (const follower of followers) follower.forget();
  });
}

/** Reads the list, and follows events until the signal is aborted. */
async function follow(ended: AbortSignal): Promise<void> {
  let waiting: StreamedEvent[] = [];
  let isScheduled = false;
  /** The events that were applied since the present read began; `null`: nothing is read. */
  let eventsDuringRead: StreamedEvent[] | null = null;
  const apply = (): void => {
    isScheduled = false;
    if (ended.aborted) return;
    const events = waiting;
    waiting = [];
    lastEventId = events.at(-1)?.id || lastEventId;
    eventsDuringRead?.push(...events);
    batch(() => {
      applyEvents(events);
      for (const { onEvents } of followers) onEvents(events);
    });
  };
  const refresh = async (): Promise<boolean> => {
    const missed: StreamedEvent[] = [];
    eventsDuringRead = missed;
    const isRead = await readList(ended, () => (eventsDuringRead === missed ? missed : null));
    if (eventsDuringRead === missed) eventsDuringRead = null;
    if (!ended.aborted) for (const follower of followers) follower.refresh();
    return isRead;
  };
  let isReading = false;
  let isRequested = false;
  let wake = (): void => undefined;
  /** Reads the list until that succeeds, in a single loop: a call during a read causes one more read. */
  const requestRead = async (): Promise<void> => {
    isRequested = true;
    wake();
    if (isReading) return;
    isReading = true;
    while (isRequested && !ended.aborted) {
      isRequested = false;
      if (await refresh()) continue;
      isRequested = true;
      await Promise.race([pause(rereadMs, ended), new Promise<void>((resolve) => (wake = resolve))]);
    }
    isReading = false;
  };
  connection.value = "connecting";
  connectionFailure.value = null;
  const isMissing =
    !hasExtensions() ||
    (await followEvents({
      lastEventId,
      signal: ended,
      onOpen() {
        connection.value = "live";
        connectionFailure.value = null;
        void requestRead();
      },
      onClose() {
        // A stream that a later one has closed says nothing about the later one.
        if (!ended.aborted) connection.value = "connecting";
      },
      onEvent(event) {
        if (event.type === "gap") void requestRead();
        waiting.push(event);
        if (!isScheduled) setTimeout(apply, applyMs);
        isScheduled = true;
      },
      onFailure(text, isMissingScope) {
        connection.value = isMissingScope ? "refused" : "lost";
        connectionFailure.value = text;
        void requestRead();
      },
    }));
  if (isMissing) await poll(refresh, ended);
}

/** Reads the list every 5 s, for gateways without events. */
async function poll(refresh: () => Promise<boolean>, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    const isRead = await refresh();
    if (!ended.aborted) connection.value = isRead ? "polling" : "lost";
    await pause(pollMs, ended);
  }
}

/**
 * Reads the list, and resolves with whether that succeeded or is no longer needed. A failure shows the devices of the last list, if there is one.
 *
 * @param missed returns the events that arrived in the meantime, which the list may not have; `null`: a later read has begun
 */
async function readList(ended: AbortSignal, missed: () => readonly StreamedEvent[] | null): Promise<boolean> {
  try {
    const read: Environment[] = [];
    for await (const environment of listAllEnvironments(transport, {}, { signal: ended })) read.push(environment);
    const events = missed();
    if (ended.aborted || events === null) return true;
    batch(() => {
      const known = rows.peek();
      rows.value = new Map(
        read.map((environment) => {
          const row = known.get(environment.id) ?? signal(environment);
          row.value = environment;
          return [environment.id, row];
        }),
      );
      revision.value += 1;
      loading.value = { kind: "ready" };
      applyEvents(events);
    });
    return true;
  } catch (error) {
    if (!ended.aborted && loading.value.kind === "loading") loading.value = { kind: "error", text: failureText(error) };
    return ended.aborted;
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
      // An event about a device that stays offline does not mean that it was seen: its name was changed, or the server repeated the event after a
      // crash.
      const isSeen = (row.peek().connectionId ?? changed.connectionId) !== null;
      row.value = isSeen ? { ...changed, lastSeenAt: now() } : changed;
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
