/**
 * Passes stored changes on to the readers that may see them. Readers with the same access share one filter, so each event is checked once
 * for all of them; a filter for some devices is only asked about these. The text of an event is built once.
 */
import type { ChangeLogState, StoredChange } from "../change-log.ts";
import { createGroups, type Groups } from "../collections.ts";
import { audienceKey, type ChangeView, createShownData, devicesOf, receives } from "./audience.ts";
import type { EventIds } from "./event-ids.ts";
import type { EventReader, StreamEnd } from "./reader.ts";
import type { GapReason } from "./start.ts";

export interface FanOut {
  /** Adds a reader. Returns a function that removes it. */
  add(reader: EventReader, view: ChangeView): () => void;
  /** Passes on changes that are stored, in the order of their positions. */
  publish(epoch: string, changes: readonly StoredChange[]): void;
  /** Reports a gap to every reader, and continues after the last change. */
  publishGap(state: ChangeLogState, reason: GapReason, nowMs: number): void;
  /** Keeps the streams open, and moves their readers past changes that they must not see. */
  beat(state: ChangeLogState, nowMs: number): void;
  /** Ends every stream. */
  end(reason: StreamEnd): void;
}

interface Audience {
  readonly view: ChangeView;
  readonly readers: Set<EventReader>;
}

/** The audiences of a tenant. */
interface Tenant {
  readonly byKey: Map<string, Audience>;
  /** Audiences that see only some devices, by device id. */
  readonly byDevice: Groups<Audience>;
  /** All others. */
  readonly wide: Set<Audience>;
}

export function createFanOut(ids: EventIds): FanOut {
  const tenants = new Map<string, Tenant>();
  const readers = new Set<EventReader>();
  /** The last change that was passed on; position -1 before the first. */
  let last = { epoch: "", position: -1 };

  function publishOne(epoch: string, change: StoredChange): void {
    const tenant = tenants.get(change.tenant);
    if (tenant === undefined) return;
    const textFor = createTexts(ids, epoch, change);
    for (const audiences of [tenant.wide, tenant.byDevice.of(change.deviceId)]) {
      for (const audience of audiences) {
        if (!receives(audience.view, change)) continue;
        const textOf = (): Uint8Array => textFor(audience.view);
        // A reader may end while it receives.
        for (const reader of [...audience.readers]) reader.receive(change, textOf);
      }
    }
  }

  return {
    add(reader, view) {
      readers.add(reader);
      const leave = join(tenants, reader, view);
      return () => {
        readers.delete(reader);
        leave();
      };
    },
    publish(epoch, changes) {
      for (const change of changes) publishOne(epoch, change);
      last = { epoch, position: changes.at(-1)?.position ?? last.position };
    },
    publishGap({ epoch, lastPosition: position }, reason, nowMs) {
      last = { epoch, position };
      const text = gapText(ids.write({ epoch, position, atMs: nowMs }), reason);
      for (const reader of [...readers]) reader.skipTo(position, text);
    },
    beat({ epoch, lastPosition }, atMs) {
      let lastText: Uint8Array | undefined;
      const textOf = (given: number | null): Uint8Array => {
        const position = given ?? Number.POSITIVE_INFINITY;
        if (position <= last.position) return (lastText ??= heartbeatText(ids.write({ ...last, atMs })));
        // It has read on since the state was read, and another series may have begun.
        return heartbeatText(position > lastPosition ? null : ids.write({ epoch, position, atMs }));
      };
      for (const reader of [...readers]) reader.beat(textOf);
    },
    end(reason) {
      for (const reader of [...readers]) reader.end(reason);
    },
  };
}

function join(tenants: Map<string, Tenant>, reader: EventReader, view: ChangeView): () => void {
  const { tenant: name } = view.principal;
  const tenant: Tenant = tenants.get(name) ?? { byKey: new Map(), byDevice: createGroups(), wide: new Set() };
  tenants.set(name, tenant);
  const key = audienceKey(view);
  const devices = devicesOf(view);
  let audience = tenant.byKey.get(key);
  if (audience === undefined) {
    audience = { view, readers: new Set() };
    tenant.byKey.set(key, audience);
    if (devices === null) tenant.wide.add(audience);
    for (const deviceId of devices ?? []) tenant.byDevice.add(deviceId, audience);
  }
  const joined = audience;
  joined.readers.add(reader);
  return () => {
    joined.readers.delete(reader);
    if (joined.readers.size > 0 || tenant.byKey.get(key) !== joined) return;
    tenant.byKey.delete(key);
    tenant.wide.delete(joined);
    for (const deviceId of devices ?? []) tenant.byDevice.delete(deviceId, joined);
    if (tenant.byKey.size === 0 && tenants.get(name) === tenant) tenants.delete(name);
  };
}

/** Returns a function that returns the text of a stored change for readers with a view. Equal texts are built once. */
export function createTexts(ids: EventIds, epoch: string, change: StoredChange): (view: ChangeView) => Uint8Array {
  const { position, storedAt, kind } = change;
  const dataFor = createShownData(change);
  const texts = new Map<string, Uint8Array>();
  return (view) => {
    const data = dataFor(view);
    const text = texts.get(data) ?? eventText(ids.write({ epoch, position, atMs: storedAt }), kind, data);
    texts.set(data, text);
    return text;
  };
}

/** The text of a gap. */
export function gapText(id: string, reason: GapReason): Uint8Array {
  return eventText(id, "gap", JSON.stringify({ reason }));
}

const encoder = new TextEncoder();

/** How long a client waits before it connects again, in milliseconds. */
const reconnectMs = 1_000;

/** The start of a stream: it gives the client an id to continue from before the first event. */
export function openingText(id: string): Uint8Array {
  return encoder.encode(`retry: ${reconnectMs}\nid: ${id}\n\n`);
}

/** The text of an event (WHATWG HTML, section 9.2). `data` is JSON without line breaks. */
function eventText(id: string, type: string, data: string): Uint8Array {
  return encoder.encode(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`);
}

/** A comment that keeps the connection open. An id moves the client past events that it must not see. */
function heartbeatText(id: string | null): Uint8Array {
  return encoder.encode(id === null ? ":\n\n" : `:\nid: ${id}\n\n`);
}
