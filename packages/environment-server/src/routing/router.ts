/**
 * Routes calls to a device, wherever its socket is. Operations call a {@link DeviceRouter} and never a socket, so that a device may be
 * connected to another process, or to something that sleeps between messages. A device's queue, modes, requests for permission and
 * acknowledgements are where its socket is; therefore whole operations are passed there, not frames.
 *
 * By default a router knows only the sockets of its own process and resolves immediately. A router over several processes is made from
 * the {@link LocalDevices} of each, and all of them share a store.
 */
import type { MaybePromise } from "@letta-environments/platform";
import type { ControlOperation, DecodedRequest, PlainResponse, Principal, Refused } from "@letta-environments/schema";
import type { ConnectionRecord, EnvironmentRow } from "../ports.ts";
import type { DeviceLocation, LocalSockets, Presence } from "../socket/connection.ts";

/** An operation on one device, which runs where its socket is. */
export type DeviceOperation = "sendMessage" | "listMessages" | "retrieveMessage" | ControlOperation;

/** The decoded request of a {@link DeviceOperation}. */
export type DeviceRequest = Extract<DecodedRequest, { readonly operation: DeviceOperation }>;

/** The progress of a call. */
export interface DeviceCallProgress {
  /**
   * False while the message or command itself has certainly not been written, although the mode that a key sets may have been changed. True at
   * first, and when it is unknown.
   */
  isSent: boolean;
}

/**
 * Facts about a call that are not part of its input. Only five members are not plain data. A router over several processes runs `beforeSend`
 * itself, sends a message when `signal` is aborted, passes `decideAgain` on as a question, and leaves `progress` and `onAccepted` unchanged.
 */
export interface DeviceCallContext {
  /** Aborted when the caller has disconnected. A message that was already written to a device cannot be recalled. */
  readonly signal?: AbortSignal;
  /** Kept up to date by sends and control operations, for callers that end a call with `signal`. */
  readonly progress?: DeviceCallProgress;
  /**
   * The connection that a send or a control operation names, as `findConnection` returned it; `null` when it does not exist. Pass it when you
   * have looked it up before, so that the server does not look it up again.
   */
  readonly connection?: ConnectionRecord | null;
  /** The `Idempotency-Key` of a send, of at most 256 characters. With another body, it is refused for 24 hours. */
  readonly idempotencyKey?: string | null;
  /** The trace that the request belongs to (W3C Trace Context), for the events of a send; `null` or absent without one. */
  readonly traceId?: string | null;
  /** Seconds of the preference `wait` of a send (RFC 7240); `null` or absent without it. */
  readonly waitSeconds?: number | null;
  /**
   * Called once for a send, after its input and its device were found permitted and before anything is reserved or sent.
   * When it resolves with a response, nothing is sent and the caller receives that response. It runs in the order in which
   * sends of a connection arrived, and the next one waits for it.
   */
  readonly beforeSend?: (device: EnvironmentRow) => Promise<PlainResponse | null>;
  /**
   * Called before a send or a control operation that has waited for a second or longer is written. Resolves with the present permissions of the
   * caller, or with the response that refuses the request. Sends to the same device wait for it, until `signal` is aborted or
   * 10 seconds have passed. The device is looked up again in any case.
   */
  readonly decideAgain?: () => Promise<PresentCaller | Refused>;
  /**
   * Called when a send with the preference `wait` was accepted. Its body is no longer read, so a caller that waits for the end of the turn need not
   * keep it.
   */
  readonly onAccepted?: () => void;
}

/** The caller of a request with the permissions that it has now. */
export interface PresentCaller {
  /** Whether they are the same as at the last call for this request; at the first call, as when it arrived. */
  readonly kind: "same" | "changed";
  readonly principal: Principal;
}

/** An operation on one device, by a principal that has the scope for it. */
export interface DeviceCall {
  readonly request: DeviceRequest;
  readonly principal: Principal;
  readonly context: DeviceCallContext;
}

/** The devices that are connected to one process. */
export interface LocalDevices extends LocalSockets {
  /**
   * Runs an operation with this process's state of the device. The response is for the caller, including refusals: `device_offline` when
   * no socket is here. Rejects with the reason of an aborted `signal`, and when the store fails.
   */
  deliver(call: DeviceCall): Promise<PlainResponse>;
}

/** The devices that can be reached: see the description of this file. A promise that rejects fails the request, and one that does not settle holds it up. */
export interface DeviceRouter {
  /** As {@link LocalDevices.presence}, of the devices of every process. */
  presence(environmentIds: readonly string[]): MaybePromise<readonly (Presence | null)[]>;
  /** As {@link LocalDevices.onlineIds}, of the devices of every process. */
  onlineIds(tenant: string, afterId: string | null, limit: number): MaybePromise<readonly string[]>;
  /** As {@link LocalDevices.locate}: the present socket of a row. */
  locate(environmentId: string): MaybePromise<DeviceLocation | null>;
  /**
   * Runs an operation where the device's socket is; without one, in this process. Calls for one connection begin in the order in which they
   * were passed. An operation that has reached the other process and has no response is unknown, never repeated.
   */
  deliver(call: DeviceCall): Promise<PlainResponse>;
  /** A socket has opened in this process. Earlier sockets of its row elsewhere must be closed with {@link LocalDevices.replace} of every other process. */
  opened(environmentId: string, location: DeviceLocation): void;
  /** The socket of a row in this process has ended. */
  ended(environmentId: string): void;
}

/** Creates the router of a process whose devices are all connected to it. */
export function createLocalRouter(local: LocalDevices): DeviceRouter {
  return { ...local, opened: () => undefined, ended: () => undefined };
}
