/** The open streams of events: how many there may be, where each one starts, and what keeps them open. */
import { type Clock, sleep } from "@letta-environments/platform";
import type { Principal } from "@letta-environments/schema";
import { type ChangeLog, type RemovedChanges, seriesOf, type StoredChange } from "../change-log.ts";
import { createGroups } from "../collections.ts";
import { createKeyedQueue } from "../keyed-queue.ts";
import type { EmitEvent } from "../log-events.ts";
import {
  changeLimits,
  eventHeartbeatMs,
  maxStreams,
  maxStreamsPerKey,
  maxUnreadBytes,
  maxUnreadBytesPerKey,
} from "../limits.ts";
import { createMemoryBudget, type MemoryBudget } from "../memory-budget.ts";
import { ownerOf } from "../socket/connection.ts";
import { type ChangeView, devicesOf, receives } from "./audience.ts";
import type { EventIds } from "./event-ids.ts";
import { createTexts, type FanOut, gapText, openingText } from "./fan-out.ts";
import { createEventReader, type EventReader, type StreamEnd } from "./reader.ts";
import type { ChangeRecorder } from "./recorder.ts";
import { decideGap, decideStart } from "./start.ts";

/** An open stream. */
export type EventStream = Pick<EventReader, "stream" | "ended" | "end">;

export interface EventStreams {
  /**
   * Opens a stream, after the event with an id, at the `oldest` one, or (`null`) with what happens from now on. Resolves with `too_many` when
   * the key, its tenant, or all tenants together have too many streams. Rejects when the store fails.
   */
  open(view: ChangeView, from: string | null): Promise<EventStream | "too_many">;
  /** Ends every stream. */
  end(reason: StreamEnd): void;
}

export interface EventStreamsOptions {
  readonly clock: Clock;
  readonly log: Pick<ChangeLog, "readChanges">;
  readonly recorder: Pick<ChangeRecorder, "extendRecording" | "readState">;
  readonly fanOut: FanOut;
  readonly ids: EventIds;
  readonly emit: EmitEvent;
  readonly nowMs: () => number;
}

export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { fanOut } = options;
  const shared: SharedByReaders = {
    budget: createMemoryBudget({ maxOwnerBytes: maxUnreadBytesPerKey, maxTotalBytes: maxUnreadBytes }),
    takeTurn: createTurns(options.clock),
  };
  const reserve = createStreamSlots();
  const heartbeat = createHeartbeat(options);
  return {
    async open(view, from) {
      const release = reserve(view.principal);
      if (release === null) return "too_many";
      try {
        const reader = await openReader(options, shared, { view, from });
        const leave = fanOut.add(reader, view);
        const stopBeat = heartbeat.add(view);
        void reader.ended.then(() => {
          leave();
          stopBeat();
          release();
        });
        return reader;
      } catch (cause) {
        release();
        throw cause;
      }
    },
    end: (reason) => fanOut.end(reason),
  };
}

interface SharedByReaders {
  readonly budget: MemoryBudget;
  /** Resolves when a reader of a tenant may read a page. */
  readonly takeTurn: (tenant: string) => Promise<void>;
}

/**
 * Creates {@link SharedByReaders.takeTurn}. A store may read synchronously, and a host may take every page at once. So
 * other work runs before the next page of the tenant, however many readers it has.
 */
function createTurns(clock: Clock): SharedByReaders["takeTurn"] {
  const queue = createKeyedQueue();
  return (tenant) =>
    new Promise((resolve) => {
      void queue.run(tenant, () => {
        resolve();
        return sleep(clock, 0);
      });
    });
}

/** The last slots, which are for tenants with fewer streams than this. */
const reserved = maxStreams / 4;

/**
 * Creates a function that reserves a slot for a stream. It returns a function that releases the slot, to be called once, or `null` if
 * every slot is taken.
 */
export function createStreamSlots(): (principal: Pick<Principal, "tenant" | "keyId">) => (() => void) | null {
  const keys = createGroups<symbol>();
  const tenants = createGroups<symbol>();
  let opened = 0;
  return (principal) => {
    const { tenant } = principal;
    const owner = ownerOf(principal);
    const isReserved = opened >= maxStreams - reserved && tenants.sizeOf(tenant) >= reserved;
    if (keys.sizeOf(owner) >= maxStreamsPerKey || opened >= maxStreams || isReserved) return null;
    const slot = Symbol("slot");
    opened += 1;
    keys.add(owner, slot);
    tenants.add(tenant, slot);
    return () => {
      opened -= 1;
      keys.delete(owner, slot);
      tenants.delete(tenant, slot);
    };
  };
}

/** Keeps streams open, and the changes of their tenants stored. Its timer runs only while there are streams. */
function createHeartbeat({ clock, recorder, fanOut, emit, nowMs }: EventStreamsOptions) {
  const views = new Set<ChangeView>();
  let cancelTimer: (() => void) | null = null;

  function schedule(): void {
    cancelTimer ??= clock.setTimer(eventHeartbeatMs, () => {
      cancelTimer = null;
      void beat().catch((cause: unknown) => emit({ type: "store_failed", operation: "saveRecording", cause }));
      if (views.size > 0) schedule();
    });
  }

  async function beat(): Promise<void> {
    fanOut.beat(await recorder.readState(), nowMs());
    const tenants = new Map<string, boolean>();
    for (const { principal, includesOutput } of views)
      tenants.set(principal.tenant, includesOutput || tenants.get(principal.tenant) === true);
    for (const [tenant, includesOutput] of tenants) await recorder.extendRecording(tenant, includesOutput);
  }

  return {
    /** Returns a function that stops it for a stream. */
    add(view: ChangeView): () => void {
      views.add(view);
      schedule();
      return () => {
        views.delete(view);
        if (views.size > 0) return;
        cancelTimer?.();
        cancelTimer = null;
      };
    },
  };
}

async function openReader(
  { clock, log, recorder, ids, nowMs }: EventStreamsOptions,
  { budget, takeTurn }: SharedByReaders,
  { view, from }: { readonly view: ChangeView; readonly from: string | null },
): Promise<EventReader> {
  const { principal, includesOutput } = view;
  const { tenant } = principal;
  const { outputSinceMs } = await recorder.extendRecording(tenant, includesOutput);
  const state = await recorder.readState();
  const { epoch } = state;
  const atMs = nowMs();
  const start = from === null || from === "oldest" ? from : ids.read(from, state);
  const { after, gap } = decideStart(start, {
    state,
    nowMs: atMs,
    outputSinceMs: includesOutput ? outputSinceMs : null,
  });
  // A reader that continues keeps its own id, which says how old its last event is.
  const continued = from === "oldest" || gap !== null ? null : from;
  const id = continued ?? ids.write({ epoch, position: after, atMs });
  const selection = { tenant, includesOutput, deviceIds: devicesOf(view) };
  let announced: RemovedChanges = state;
  // After a gap, and at the oldest event, some may stay stored for a moment after they expire. Anything else that is missing is younger.
  const isExpired = ({ kind, storedAt }: StoredChange): boolean =>
    storedAt <= atMs - changeLimits[kind === "output" ? "output" : "events"].durationMs;
  return createEventReader({
    clock,
    budget,
    owner: principal,
    opening: [openingText(id), ...(gap === null ? [] : [gapText(id, gap)])],
    after,
    takeTurn: () => takeTurn(tenant),
    gapOf(page, position) {
      const reason = decideGap({ after: position, removed: page, announced, includesOutput });
      announced = page;
      const before = (page.changes[0]?.position ?? page.through + 1) - 1;
      if (reason === null) return null;
      return gapText(ids.write({ epoch: page.epoch, position: before, atMs: nowMs() }), reason);
    },
    readPage: (position) => log.readChanges({ ...selection, after: position }),
    textOf: (change, page) =>
      receives(view, change) && !isExpired(change)
        ? createTexts(ids, seriesOf(page, change.position), change)(view)
        : null,
  });
}
