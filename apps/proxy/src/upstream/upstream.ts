/**
 * The port to the server behind the gateway. It has two implementations: `remote.ts` calls an HTTP server that knows nothing of gateway keys, and
 * `embedded.ts` calls the environment server in the same process. Both list every operation, so that a new endpoint does not compile until
 * both handle it.
 */
import type { ConnectionRecord, PresentCaller } from "@letta-environments/environment-server";
import type { Clock } from "@letta-environments/platform";
import {
  type DecodedRequest,
  defaultWaitSeconds,
  type Endpoint,
  type EnvironmentPatch,
  type KnownEndpoint,
  type PlainResponse,
  preferHeader,
  type Principal,
  type ProblemOptions,
  problemResponse,
  readPreferredWait,
  type Refused,
} from "@letta-environments/schema";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import { callerGone, type GatewayRequest } from "../http/gateway-request.ts";
import type { ValidRequest } from "../http/validate-request.ts";
import { type Deadline, neverAborted } from "../lib/deadline.ts";
import type { GatewayPorts, UpstreamCredential } from "../ports.ts";

/** The server behind the gateway. */
export interface Upstream {
  /** Forwards a call and returns the response for the caller, which shows nothing that the principal may not see. */
  forward(call: UpstreamCall): Promise<PlainResponse>;
  /**
   * Looks up the connection that a send names, where that needs no request: `null` if it does not exist, `undefined` if only
   * {@link Upstream.forward} finds out.
   */
  findConnection(tenant: string, connectionId: string): Promise<ConnectionRecord | null | undefined>;
  /** Whether this gateway has already forwarded this request, so its server leads back here. {@link Upstream.forward} refuses it. */
  isLoop(request: Pick<GatewayRequest, "header">): boolean;
  /** Forgets what was read with a principal's credential. */
  forget(principal: Principal): void;
}

/** A validated and authorised request. */
export interface UpstreamCall extends ValidRequest {
  readonly request: GatewayRequest;
  readonly requestId: string;
  readonly endpoint: KnownEndpoint;
  readonly principal: GatewayPrincipal;
  /** The credential for a remote server; absent for none. */
  readonly credential?: UpstreamCredential | undefined;
  /** The connection of a send, where it has been looked up. */
  readonly connection?: ConnectionRecord | null | undefined;
  readonly deadline: Deadline;
  /** The audit record of a send or of a control operation; `null` for other requests. */
  readonly record: ActionRecord | SendRecord | null;
  /** The `Idempotency-Key` of a send; `null` for none. */
  readonly idempotencyKey: string | null;
  /** The wait for the end of a turn that the caller requested, in seconds; `null`: none. */
  readonly waitSeconds: number | null;
  /** Frees the body of a send that was accepted: only the end of its turn is awaited, and nobody reads the body any more. */
  readonly forgetBody: () => void;
  /**
   * Decides again on a send or a command that has waited before it is written; absent for a frame of a viewer, which is aborted when its
   * key has ended.
   */
  readonly decideAgain?: DecideAgain | undefined;
}

/** Decides again on a request, and compares its permissions with those of its last decision. See `DeviceCallContext` of the embedded server. */
export type DecideAgain = (
  last: GatewayPrincipal,
) => Promise<(PresentCaller & { readonly principal: GatewayPrincipal }) | Refused>;

/** The audit record of an action on a device. Its start must be stored before the action leaves. */
export interface ActionRecord {
  /**
   * Stores the start, with the device; `null` if the device is not known. If it resolves with a response, nothing is sent and the caller receives that
   * response.
   */
  start(deviceId: string | null): Promise<PlainResponse | null>;
}

/** The audit record of a send. */
export interface SendRecord extends ActionRecord {
  /** Names the send, here and in the audit log. */
  readonly sendId: string;
  /** Appends the start in the running transaction of a store that shares the file of the audit log. */
  appendStartInTransaction(deviceId: string): void;
  /** Records that the transaction was committed. */
  markStarted(): void;
  /** Records that the mode of the key was requested for the conversation. It never rejects. */
  recordModeSwitch(mode: string, outcome: ModeSwitchOutcome): Promise<void>;
  /** Delays the response until the result is stored. `work` must not reject. */
  delayResponseUntil(work: Promise<void>): void;
}

/** Whether the device confirmed the requested mode, rejected it, or did not respond. */
export type ModeSwitchOutcome = "done" | "rejected" | "unknown";

/** A change of a device, for the audit log. */
export interface DeviceChangeFacts {
  readonly act: "released" | "removed" | "labelled";
  readonly tenant: string;
  readonly deviceId: string;
  /** The only row that is removed; absent: all rows of the device. */
  readonly environmentId?: string;
  /** The labels that are assigned. */
  readonly labels?: EnvironmentPatch;
}

/** The members of the rows of a changed device that the audit log keeps. */
export interface ChangedDeviceRow {
  readonly connectionName: string;
  readonly ownerKeyId: string | null;
}

/** The rows of a changed device; `null` when nothing was changed, `unknown` when it is not known. */
export type DeviceChangeResult<Row extends ChangedDeviceRow> = readonly Row[] | null | "unknown";

/**
 * Makes a change of a device, and audits it. Resolves with the result of `run`, and rejects with a `ChangeRefusedError` when the change
 * cannot be audited and was not made.
 */
export type AuditDeviceChange = <Row extends ChangedDeviceRow>(
  change: DeviceChangeFacts,
  run: () => Promise<DeviceChangeResult<Row>>,
) => Promise<DeviceChangeResult<Row>>;

/** A validated and authorised request, before a credential and a deadline are chosen for it. */
export interface AuthorisedRequest extends Pick<
  UpstreamCall,
  | "request"
  | "requestId"
  | "endpoint"
  | "principal"
  | "connection"
  | "record"
  | "idempotencyKey"
  | "forgetBody"
  | "decideAgain"
> {
  readonly params: Readonly<Record<string, string>>;
  readonly input: ValidRequest;
  /** The caller's own upstream key; `null` where the gateway's credential is used. */
  readonly passThroughKey: string | null;
}

/** A call that can be made, now or by the cache. */
export interface PreparedCall extends Pick<AuthorisedRequest, "request" | "endpoint" | "params" | "principal"> {
  readonly query: string;
  /** The upstream credential; `null` for none. */
  readonly credential: string | null;
  /** The wait for the end of a turn that the caller requested, in seconds; `null`: none. */
  readonly waitSeconds: number | null;
  /**
   * Calls the upstream. Without a signal the call is a background refresh with its own deadline. With one, all calls for the
   * request share one deadline.
   */
  readonly fetch: (signal?: AbortSignal) => Promise<PlainResponse>;
}

/** Chooses the credential with which a request authenticates at the upstream; `undefined` for none. */
export type ChooseCredential = (
  call: Pick<AuthorisedRequest, "request" | "requestId" | "principal" | "passThroughKey">,
) => UpstreamCredential | undefined;

/** Prepares the calls of authorised requests. */
export type PrepareCall = (request: AuthorisedRequest) => PreparedCall;

/** Creates a {@link PrepareCall}. `timeoutMs` limits all calls for a request together, in milliseconds. */
export function createPrepareCall(
  { clock }: Pick<GatewayPorts, "clock">,
  upstream: Upstream,
  chooseCredential: ChooseCredential,
  timeoutMs: number,
): PrepareCall {
  return (authorised) => {
    const { request, endpoint, principal, params, input } = authorised;
    const credential = chooseCredential(authorised);
    const waitSeconds = waitSecondsOf(input.decoded, request);
    const newDeadline = (): number => clock.monotonic() + timeoutMs + (waitSeconds ?? 0) * 1_000;
    const requestDeadlineMs = newDeadline();
    return {
      request,
      endpoint,
      params,
      query: input.query,
      principal,
      credential: credential?.value ?? null,
      waitSeconds,
      fetch(signal) {
        const deadline =
          signal === undefined ? { atMs: newDeadline(), signal: neverAborted } : { atMs: requestDeadlineMs, signal };
        return upstream.forward({ ...authorised, ...input, credential, deadline, waitSeconds });
      },
    };
  };
}

/**
 * Returns how many seconds a request will wait for the end of a turn: `Prefer: wait` for a send, the query for a message; `null` for others. The
 * deadline of its call is extended by this.
 */
function waitSecondsOf(decoded: DecodedRequest, request: Pick<GatewayRequest, "header">): number | null {
  if (decoded.operation === "sendMessage") return readPreferredWait(request.header(preferHeader));
  if (decoded.operation !== "retrieveMessage") return null;
  const { wait, waitSeconds = defaultWaitSeconds } = decoded.query;
  return wait === undefined ? null : waitSeconds;
}

/** Returns the audit record of an action on a device. */
export function recordOf({ record }: Pick<UpstreamCall, "record">): ActionRecord | SendRecord {
  if (record === null) throw new TypeError("an action on a device needs its audit record");
  return record;
}

/** Returns the audit record of a send. */
export function sendRecordOf(call: Pick<UpstreamCall, "record">): SendRecord {
  const record = recordOf(call);
  if (!("sendId" in record)) throw new TypeError("the audit record is not that of a send");
  return record;
}

/**
 * Whether a call without a result may have had an effect that a repeat would cause again: a send or a command. Reads have none; registrations and
 * changes of devices can be repeated.
 */
export function isUnsafeToRepeat({ operation, scope }: Pick<Endpoint, "operation" | "scope">): boolean {
  return operation === "sendMessage" || scope === "control";
}

/** Returns the response to a call that may have had its effect, and has no result. */
export function unknownOutcome(
  endpoint: KnownEndpoint,
  options: Pick<ProblemOptions, "detail" | "retryable"> = {},
): PlainResponse {
  return endpoint.scope === "control"
    ? problemResponse("control_unknown", options)
    : problemResponse("delivery_unknown", options);
}

/** Like {@link unknownOutcome}, after a call to a remote server, which says nothing about the device. `what` says what happened. */
export function unknownRemoteOutcome(endpoint: KnownEndpoint, what: string): PlainResponse {
  const effect =
    endpoint.scope === "control"
      ? "The command may have taken effect, or still may."
      : "The message may be running. Do not send it again with another id.";
  return unknownOutcome(endpoint, { detail: `${what} ${effect}` });
}

/** Returns the response for the caller of a send that is about to leave, if its caller has gone or its time is up. */
export function refuseLate(
  { deadline }: Pick<UpstreamCall, "deadline">,
  clock: Pick<Clock, "monotonic">,
): PlainResponse | null {
  // Nothing was sent yet, so a repeat is safe. If the call itself ended the send, it could not tell.
  if (deadline.signal.aborted) return callerGone;
  return clock.monotonic() >= deadline.atMs ? problemResponse("upstream_timeout") : null;
}
