/**
 * The open sockets of viewers. Each belongs to one environment row. While no viewer watches a row, frames of its device cost one
 * look-up; otherwise each frame is parsed once, whatever the number of viewers, and serialised again for the viewers that may
 * see it.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { isNestedDeeply, type PlainSocket, type PlainSocketListener, type Principal } from "@letta-environments/schema";
import { createGroups, type Groups } from "../collections.ts";
import { type Members, parseMembers } from "../dialects/values.ts";
import type { EmitEvent } from "../log-events.ts";
import {
  maxParsedLength,
  maxViewersPerKey,
  viewerCheckIntervalMs,
  viewerGraceMs,
  viewerPingIntervalMs,
} from "../limits.ts";
import { viewerParsedRate } from "../socket/rates.ts";
import { ownerOf } from "../socket/connection.ts";
import { type CloseFrame, goingAway, policyViolation, shutdownClose } from "../socket/close.ts";
import type { FrameWatch } from "../socket/hub-state.ts";
import { type Bucket, fillBucket, takeTokens } from "../socket/traffic.ts";
import type { ConnectedViewer, ViewerAccess } from "./ports.ts";
import { audienceOf, maySee, mayBeShown, presentFrame } from "./relay.ts";
import { closeViewer, closeWithKey, createViewerState, deliver, type ViewerState } from "./state.ts";
import { deliverTerminal, listen, handleDeviceLoss, respond, respondTooLong } from "./viewer.ts";

export interface ViewerHub extends FrameWatch {
  /** Adds an open socket. Closes it again when the key has too many. */
  open(access: ViewerAccess, socket: PlainSocket): PlainSocketListener;
  /** Whether a key has as many viewers as it may. */
  isFull(principal: Pick<Principal, "tenant" | "keyId">): boolean;
  /** Viewers with an open socket. Each is the same object as long as its socket is open. */
  connectedViewers(): readonly ConnectedViewer[];
  /** Closes, with 1008, the sockets of the viewers for which `isEnded` returns true. */
  closeEnded(isEnded: (viewer: ConnectedViewer) => boolean): void;
  /** Closes every socket with 1001. */
  close(): void;
}

/** The viewers of one environment row. */
interface Row {
  readonly viewers: Set<ViewerState>;
  parsed: Bucket;
  /** Cancels the timer that closes the viewers of a device that stays offline; `null` while it is connected. */
  cancelGrace: (() => void) | null;
}

interface Hub {
  readonly clock: Clock;
  readonly rows: Map<string, Row>;
  readonly byKey: Groups<ViewerState>;
  cancelPing: (() => void) | null;
  cancelCheck: (() => void) | null;
  isClosed: boolean;
}

const tooManyClose: CloseFrame = { code: policyViolation, text: "The key has too many viewers" };
const offlineClose: CloseFrame = { code: goingAway, text: "The device is offline" };
const registeredClose: CloseFrame = { code: goingAway, text: "The device registered again; look up its connectionId" };

export function createViewerHub(options: {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly emit: EmitEvent;
}): ViewerHub {
  const { clock, randomId, emit } = options;
  const hub: Hub = {
    clock,
    rows: new Map(),
    byKey: createGroups(),
    cancelPing: null,
    cancelCheck: null,
    isClosed: false,
  };
  const viewersOf = (environmentId: string): readonly ViewerState[] => [
    ...(hub.rows.get(environmentId)?.viewers ?? []),
  ];

  return {
    open(access, socket) {
      const viewer = createViewerState(access, socket, {
        clock,
        randomId,
        onEnd(code) {
          if (remove(hub, viewer)) emit({ type: "viewer_disconnected", ...referenceOf(access), code });
        },
        onFailure: (cause) => emit({ type: "request_failed", operation: "openViewerSocket", cause }),
      });
      add(hub, viewer);
      emit({ type: "viewer_connected", ...referenceOf(access), keyId: access.principal.keyId });
      if (hub.isClosed) closeViewer(viewer, shutdownClose);
      else if (hub.byKey.sizeOf(ownerOf(access.principal)) > maxViewersPerKey) closeViewer(viewer, tooManyClose);
      startPings(hub);
      startChecks(hub);
      return listen(viewer);
    },
    isFull: (principal) => hub.byKey.sizeOf(ownerOf(principal)) >= maxViewersPerKey,
    received(environmentId, text) {
      const row = hub.rows.get(environmentId);
      if (row !== undefined && mayBeShown(text)) relay(hub, row, text);
    },
    receivedLong(environmentId, start) {
      const row = hub.rows.get(environmentId);
      if (row !== undefined && mayBeShown(start)) reportTooLong(row, start);
    },
    connected(environmentId, connectionId) {
      const row = hub.rows.get(environmentId);
      row?.cancelGrace?.();
      if (row !== undefined) row.cancelGrace = null;
      for (const viewer of viewersOf(environmentId)) {
        if (viewer.access.connectionId !== connectionId) closeViewer(viewer, registeredClose);
      }
    },
    disconnected(environmentId) {
      for (const viewer of viewersOf(environmentId)) handleDeviceLoss(viewer);
      const row = hub.rows.get(environmentId);
      if (row === undefined || row.cancelGrace !== null) return;
      row.cancelGrace = clock.setTimer(viewerGraceMs, () => {
        for (const viewer of viewersOf(environmentId)) closeViewer(viewer, offlineClose);
      });
    },
    connectedViewers: () => everyViewer(hub).map(({ identity }) => identity),
    closeEnded(isEnded) {
      for (const viewer of everyViewer(hub)) {
        if (isEnded(viewer.identity)) closeWithKey(viewer);
      }
    },
    close() {
      hub.isClosed = true;
      for (const viewer of everyViewer(hub)) closeViewer(viewer, shutdownClose);
    },
  };
}

function everyViewer({ rows }: Hub): readonly ViewerState[] {
  return [...rows.values()].flatMap(({ viewers }) => [...viewers]);
}

function relay(hub: Hub, row: Row, text: string): void {
  if (text.length > maxParsedLength) return reportTooLong(row, text);
  if (isNestedDeeply(text)) return;
  // A flooding device is disconnected where its frames are counted. Here its viewers only miss frames, which `event_seq` shows.
  const left = takeTokens(row.parsed, viewerParsedRate, text.length, hub.clock.monotonic());
  if (left === null) return;
  row.parsed = left;
  const frame = parse(text);
  if (frame !== null) show(row, frame);
}

function show({ viewers }: Row, frame: Members): void {
  const audience = audienceOf(frame);
  if (audience === null) return;
  switch (audience.kind) {
    case "asker":
      for (const viewer of viewers) if (respond(viewer, audience.requestId, frame)) return;
      return;
    case "terminal":
      for (const viewer of viewers) if (deliverTerminal(viewer, audience.terminalId, frame)) return;
      return;
    default: {
      const texts = new Map<Members, string>();
      for (const viewer of [...viewers]) {
        if (!maySee(viewer.access, audience)) continue;
        const shown = presentFrame(frame, viewer.access.principal);
        const json = texts.get(shown) ?? JSON.stringify(shown);
        texts.set(shown, json);
        deliver(viewer, json);
      }
    }
  }
}

/** A device writes the id of a request near the start of its response. */
const idPrefixLength = 1_024;

function reportTooLong({ viewers }: Row, text: string): void {
  const id = /"request_id":"([A-Za-z0-9-]{1,64})"/.exec(text.slice(0, idPrefixLength))?.[1];
  if (id !== undefined) for (const viewer of viewers) respondTooLong(viewer, id);
}

/** Parses a frame and removes the member in which viewers get its number. */
function parse(text: string): Members | null {
  const members = parseMembers(text);
  if (members === null) return null;
  const { seq: _seq, ...frame } = members;
  return frame;
}

function add(hub: Hub, viewer: ViewerState): void {
  const { environmentId } = viewer.access;
  const parsed = fillBucket(viewerParsedRate, hub.clock.monotonic());
  const row = hub.rows.get(environmentId) ?? { viewers: new Set<ViewerState>(), parsed, cancelGrace: null };
  hub.rows.set(environmentId, row);
  row.viewers.add(viewer);
  hub.byKey.add(ownerOf(viewer.access.principal), viewer);
}

function remove(hub: Hub, viewer: ViewerState): boolean {
  const { environmentId } = viewer.access;
  const row = hub.rows.get(environmentId);
  if (row?.viewers.delete(viewer) !== true) return false;
  if (row.viewers.size === 0) {
    row.cancelGrace?.();
    hub.rows.delete(environmentId);
  }
  hub.byKey.delete(ownerOf(viewer.access.principal), viewer);
  if (hub.rows.size === 0) stopTimers(hub);
  return true;
}

function startPings(hub: Hub): void {
  if (hub.cancelPing !== null || hub.rows.size === 0 || hub.isClosed) return;
  hub.cancelPing = hub.clock.setTimer(viewerPingIntervalMs, () => {
    hub.cancelPing = null;
    const ping = JSON.stringify({ type: "ping" });
    for (const viewer of everyViewer(hub)) deliver(viewer, ping);
    startPings(hub);
  });
}

/**
 * Checks regularly whether viewers that depend on the labels of a device may still see it. The frames that they send are checked as
 * they arrive.
 */
function startChecks(hub: Hub): void {
  const isNeeded = everyViewer(hub).some(({ access }) => access.isPermitted !== null);
  if (hub.cancelCheck !== null || hub.isClosed || !isNeeded) return;
  hub.cancelCheck = hub.clock.setTimer(viewerCheckIntervalMs, () => {
    hub.cancelCheck = null;
    for (const viewer of everyViewer(hub)) void checkPermission(viewer);
    startChecks(hub);
  });
}

async function checkPermission(viewer: ViewerState): Promise<void> {
  // A failing store ends no viewer, and is read again.
  const isPermitted = (await viewer.access.isPermitted?.().catch(() => true)) ?? true;
  if (!isPermitted) closeWithKey(viewer);
}

function stopTimers(hub: Hub): void {
  hub.cancelPing?.();
  hub.cancelCheck?.();
  hub.cancelPing = null;
  hub.cancelCheck = null;
}

function referenceOf({ principal, environmentId, deviceId, connectionId }: ViewerAccess) {
  return { tenant: principal.tenant, environmentId, deviceId, connectionId };
}
