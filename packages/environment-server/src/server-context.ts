/** The options of an environment server, and its parts: each is created here and receives the others that it needs. */
import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import { type OpenApiSource, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { type ApprovalTracker, createApprovalTracker } from "./approvals/tracker.ts";
import { type ChangesOptions, createChanges } from "./changes/changes.ts";
import type { ChangeFeed } from "./changes/feed.ts";
import type { Closing, RunningWork } from "./closing.ts";
import { createDeviceCommands } from "./device-commands/device-commands.ts";
import { createPendingDeliveries } from "./delivery/pending.ts";
import { createEmitter, type DeviceReference, type EmitEvent, type EnvironmentServerEvent } from "./log-events.ts";
import { createKeyedQueue } from "./keyed-queue.ts";
import { defaultSettleMs } from "./limits.ts";
import { createMessageTracker } from "./messages/tracker.ts";
import { createUnsavedFinder } from "./messages/unsaved.ts";
import { createMessageOrder } from "./operations/conversations/order.ts";
import { countApprovals, presentApproval } from "./operations/approvals/list.ts";
import type { ServerContext } from "./operations/context.ts";
import { controlConversation } from "./operations/control.ts";
import { listMessages } from "./operations/messages/list.ts";
import { sendAndWait } from "./operations/send/send-and-wait.ts";
import { createDeviceAdministration } from "./operations/devices.ts";
import { presentMessage, retrieveMessage } from "./operations/messages/status.ts";
import { createPresentation } from "./operations/presentation.ts";
import { createRemovalWatch } from "./operations/removal-watch.ts";
import { denyByPolicy } from "./operations/send/send.ts";
import { waitForLocks } from "./lock-waiting-store.ts";
import type { EnvironmentStore } from "./ports.ts";
import { createLocalRouter, type DeviceCall, type DeviceRouter, type LocalDevices } from "./routing/router.ts";
import { ownerOf } from "./socket/connection.ts";
import type { DeviceFollower } from "./socket/hub-state.ts";
import { createDeviceHub } from "./socket/hub.ts";
import { createStoredTime } from "./time/stored-time.ts";
import { createViewerHub } from "./viewers/hub.ts";
import { createViewerTickets } from "./viewers/tickets.ts";

/** Options of an environment server. */
export interface EnvironmentServerOptions {
  readonly store: EnvironmentStore;
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly randomId: RandomId;
  /** Name of this process, shown as `podId` of the devices that are connected to it. */
  readonly podId: string;
  /** URL under which devices reach the server, such as `https://gateway.example/base`; `null` uses each request's own origin. */
  readonly publicUrl: string | null;
  /** Pause between the opening of a socket and the first message on it, in milliseconds. Default: 300. */
  readonly settleMs?: number;
  /**
   * Connects this server with others that share its store: receives the devices of this process, and returns a router that reaches all of
   * them. Default: {@link createLocalRouter}, for a single server.
   */
  readonly connectRouter?: (local: LocalDevices) => DeviceRouter;
  /** The API description for `/openapi.json`, which needs no key. Without it the path is 404. */
  readonly openApi?: OpenApiSource;
  /** Receives events for logs and metrics. */
  readonly onEvent?: (event: EnvironmentServerEvent) => void;
  /**
   * Called with the device whenever it reports another mode, directory or branch, as soon as reads show it. The event `device_changed`, for logs, comes at
   * most once a second. For caches of responses, which must not show an earlier mode.
   */
  readonly onStatusChange?: (device: DeviceReference) => void;
}

/** Creates the parts of a server. */
export function createServerContext(
  options: EnvironmentServerOptions,
  closing: Closing,
  track: RunningWork["track"],
): ServerContext {
  const { clock, randomId, settleMs = defaultSettleMs } = options;
  const store = waitForLocks(options.store, clock);
  const emit = createEmitter(options.onEvent);
  const time = createStoredTime({ clock, store, emit });
  const commands = createDeviceCommands({ clock, randomId });
  const changes = createChanges({
    ...options,
    presentEnvironment: (row) => presentation.inEvents(row),
    presentMessage: presentInEvents,
    store,
    emit,
    time,
    isConnected: (environmentId) => hub.connectionOf(environmentId) !== null,
  });
  const following = createFollowing(store, time, changes.feed, options.connectRouter !== undefined);
  const messages = createMessageTracker({ ...following, clock, log: store, emit, wallNow: time.wall });
  const feed = withRemovals(changes.feed, messages);
  const approvals = createApprovals({ ...options, store, emit, messages, time }, feed, track, () => server);
  const onOutcome: typeof messages.applyOutcome = (...outcome) => {
    messages.applyOutcome(...outcome);
    approvals.applyOutcome(...outcome);
  };
  const pending = createPendingDeliveries({ clock, log: store, emit, onOutcome });
  const viewers = createViewerHub({ clock, randomId, emit });
  const emitAndNote = withFollowers(emit, feed, () => server);
  const hub = createDeviceHub({
    ...options,
    store,
    pending,
    followers: createFollowers({ messages, approvals, commands, feed }, following.changed, () => hub),
    output: feed,
    watch: viewers,
    emit: emitAndNote,
    onStatusChange: createEmitter(options.onStatusChange),
    time,
    settleMs,
  });
  const local = createLocalDevices(hub, approvals, async (call) =>
    // Another process may forward a call while this one closes.
    closing.hasBegun ? problemResponse("shutting_down") : track(runLocally(server, call)),
  );
  const router = (options.connectRouter ?? createLocalRouter)(local);
  const removals = createRemovalWatch({ clock, store, hub, emit });
  const devices = createDeviceAdministration({ store, router, removals, emit, feed });
  const presentation = createPresentation({
    ...{ hub, router },
    countApprovals: (...values) => countApprovals({ approvals, commands, hub }, ...values),
    wallNow: time.wall,
  });
  const server: ServerContext = {
    ...options,
    store,
    settleMs,
    emit: emitAndNote,
    pending,
    messages,
    commands,
    approvals,
    changes,
    hub,
    router,
    hasOtherServers: options.connectRouter !== undefined,
    viewers,
    tickets: createViewerTickets(clock, randomId),
    presentation,
    removals,
    devices,
    queue: createKeyedQueue(),
    order: createMessageOrder(clock),
    time,
    onClose: closing.onBegin,
    isClosing: () => closing.hasBegun,
  };
  return server;
}

/** The devices of this process, for a router. */
function createLocalDevices(
  { presence, onlineIds, locate, replace }: ServerContext["hub"],
  approvals: Pick<ApprovalTracker, "release">,
  deliver: LocalDevices["deliver"],
): LocalDevices {
  return {
    ...{ presence, onlineIds, locate, deliver },
    replace(environmentId, ...opened) {
      replace(environmentId, ...opened);
      approvals.release(environmentId);
    },
  };
}

/** Runs an operation on a device whose socket is here, or nowhere. The router passes it to the right process before. */
function runLocally(server: ServerContext, { request, principal, context }: DeviceCall): Promise<PlainResponse> {
  switch (request.operation) {
    case "sendMessage":
      return sendAndWait(server, request, principal, context);
    case "listMessages":
      return listMessages(server, request, principal, context);
    case "retrieveMessage":
      return retrieveMessage(server, request, principal, context);
    default:
      return controlConversation(server, request, principal, context);
  }
}

const presentInEvents: ChangesOptions["presentMessage"] = (message, deviceId, withText) =>
  presentMessage({ scopes: new Set(withText ? ["view"] : []) }, message, deviceId);

/** Creates the tracker of requests for permission. It and the server need each other, so `server` must not be called before both exist. */
function createApprovals(
  parts: Pick<ServerContext, "clock" | "sha256" | "store" | "emit" | "messages" | "time">,
  feed: ChangeFeed,
  track: RunningWork["track"],
  server: () => ServerContext,
): ApprovalTracker {
  const { clock, sha256, store, emit, messages, time } = parts;
  return createApprovalTracker({
    clock,
    sha256,
    log: store,
    emit,
    onChange: (change, approval) =>
      feed.recordApproval(approval.scope, (device) => ({ change, approval: presentApproval(device, approval) })),
    wallNow: time.wall,
    triggerOf: messages.triggerOf,
    policiesOf: messages.policiesOf,
    deny: (approval) =>
      track(denyByPolicy(server(), approval)).catch((cause: unknown) => {
        emit({ type: "request_failed", operation: "denyByPolicy", cause });
        return "failed";
      }),
    onWithdrawnAfterDecision(environmentId, deliveryId, isTurnOver) {
      // When the turn is over, the device may have ended it without reading the decision: its acknowledgement says which.
      if (isTurnOver) return;
      const { hub, pending } = server();
      const connection = hub.onlineConnectionOf(environmentId);
      if (connection?.acknowledgementSupport === "no")
        return void pending.acknowledge(connection.device, deliveryId, { kind: "accepted", disposition: null });
      // Other devices say so themselves, but 0.32.18 may do it when the rest of the turn is over.
      pending.recordReport(environmentId, deliveryId, null);
    },
  });
}

/**
 * Connects the tracker of messages with other parts, and counts the changes that a device can repeat: a message runs and ends once, however many of
 * them its senders make, but it may wait again and again.
 */
function createFollowing(
  store: EnvironmentStore,
  time: ServerContext["time"],
  feed: Pick<ChangeFeed, "recordMessages">,
  hasOtherServers: boolean,
) {
  const changed = { messages: 0 };
  const onChange: ChangeFeed["recordMessages"] = (messages) => {
    const state = messages[0]?.status.state;
    if (state === "waiting_for_approval" || state === "accepted") changed.messages += messages.length;
    feed.recordMessages(messages);
  };
  return { findUnsaved: createUnsavedFinder(store, time, hasOtherServers), onChange, changed };
}

/** Emits events, and notifies the parts that follow them or the sockets that open and end. */
function withFollowers(
  emit: EmitEvent,
  feed: ChangeFeed,
  server: () => Pick<ServerContext, "hub" | "router" | "removals">,
): EmitEvent {
  return (event) => {
    emit(event);
    feed.handleEvent(event);
    if (event.type !== "device_connected" && event.type !== "device_disconnected") return;
    const { hub, router, removals } = server();
    if (event.type === "device_disconnected") removals.socketEnded();
    const { environmentId } = event;
    const location = hub.locate(environmentId);
    if (location === null) router.ended(environmentId);
    else router.opened(environmentId, location);
  };
}

/** Lets the extensions follow the devices. */
function createFollowers(
  {
    messages,
    approvals,
    commands,
    feed,
  }: Pick<ServerContext, "messages" | "approvals" | "commands"> & { readonly feed: Pick<ChangeFeed, "removed"> },
  /** How many messages have begun to wait so far. */
  changed: { readonly messages: number },
  hub: () => Pick<ServerContext["hub"], "countChanges">,
): readonly DeviceFollower[] {
  return [
    {
      connected: ({ device, acknowledgementSupport }) => messages.connect(device, acknowledgementSupport !== "no"),
      async resume(environmentId) {
        const onRead = approvals.awaitMessages(environmentId);
        const conversations = await messages.resume(environmentId);
        onRead();
        return conversations;
      },
      received(connection, frame) {
        if (frame.kind === "command_response") return;
        const before = changed.messages;
        messages.receive(connection.device.environmentId, frame);
        if (changed.messages > before) hub().countChanges(connection, "messages", changed.messages - before);
      },
      disconnected: messages.disconnect,
    },
    {
      connected(connection, { approvalPolicy: policy = null }) {
        const { device, identity } = connection;
        // Devices acknowledge inputs since 0.30.3, and ask in frames since 0.30.
        const asksInFrames = (): boolean => connection.acknowledgementSupport === "yes";
        const countRequest = (): void => hub().countChanges(connection, "requests", 1);
        const requester = { device, owner: ownerOf(identity), policy, asksInFrames, countRequest };
        approvals.connect(requester, messages.hadReadPolicies(device.environmentId));
      },
      resume: approvals.resume,
      received({ device }, frame) {
        if (frame.kind !== "command_response") approvals.receive(device.environmentId, frame);
      },
      disconnected: approvals.disconnect,
    },
    {
      received: ({ device }, frame) => commands.receive(device.environmentId, frame),
      disconnected: commands.disconnect,
    },
    { expired: feed.removed },
  ];
}

/** Lets the tracker forget the rows that are removed. */
function withRemovals(feed: ChangeFeed, messages: Pick<ServerContext["messages"], "forget">): ChangeFeed {
  return {
    ...feed,
    removed(row) {
      messages.forget(row.id);
      feed.removed(row);
    },
  };
}
