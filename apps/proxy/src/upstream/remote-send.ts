/**
 * Sends to a device behind a remote server, which may not recognise repeats. The connection must be a row of the tenant's list that
 * the principal may use; the ids are reserved before the send is audited and forwarded; and once forwarded, it runs to completion even
 * if its caller disconnects. A repeat needs neither the device nor its mode, because it sends nothing.
 */
import type { Clock, Sha256 } from "@letta-environments/platform";
import {
  allowsDevice,
  allowsMode,
  endpoints,
  isApprovalMessage,
  isSameMode,
  modeCeiling,
  type OperationInput,
  type PlainResponse,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { errorCodeOf } from "../http/response.ts";
import { readSendIds } from "../idempotency/entries.ts";
import type { FinishedSend, RequestedSend, Sends } from "../idempotency/sends.ts";
import type { KnownConnection } from "../idempotency/store.ts";
import { neverAborted } from "../lib/deadline.ts";
import { parseJsonObject } from "../lib/json.ts";
import type { UpstreamRequest } from "../ports.ts";
import { alwaysRead, type ConnectionLookup, keptTags, type LookupReads, maxRowAgeMs } from "./connections.ts";
import type { UpstreamRow } from "./environments.ts";
import { type CallEnd, type CallRemote, readRequest } from "./remote-call.ts";
import { describeDelivery, sendOutcome, type SentContent } from "./send-outcome.ts";
import { type ModeSwitchOutcome, sendRecordOf, refuseLate, type UpstreamCall } from "./upstream.ts";
import { problemCodeOf } from "./validate-response.ts";

export interface SendRemotePorts {
  readonly clock: Pick<Clock, "monotonic">;
  readonly sha256: Sha256;
  readonly connections: ConnectionLookup;
  readonly sends: Sends;
  readonly callRemote: CallRemote;
}

/** A send, as it goes to the remote server. */
export interface RemoteSend {
  readonly call: UpstreamCall;
  readonly input: OperationInput<"sendMessage">;
  readonly request: UpstreamRequest;
  readonly reads: LookupReads;
}

/** Sends messages and returns the response for the caller. */
export async function sendRemote(ports: SendRemotePorts, send: RemoteSend): Promise<PlainResponse> {
  const { sha256, sends } = ports;
  const { call, input } = send;
  const { principal, deadline, idempotencyKey } = call;
  const record = sendRecordOf(call);
  const read = readSendIds(input.body, idempotencyKey, sha256);
  if (read.kind === "refused") return read.response;
  const { connectionId } = input.params;
  const { sendId } = record;
  const requested: RequestedSend = { sendId, tenant: principal.tenant, connectionId, ids: read.ids, deadline };
  for (;;) {
    const found = await findConnection(ports, send);
    if (found.kind === "refused") return found.response;
    const { connection } = found;
    const turn =
      found.kind === "permitted"
        ? await sends.run(requested, connection, {
            recordStart: () => record.appendStartInTransaction(connection.deviceId),
            transmit: (isRecorded) => transmit(ports, send, connection.deviceId, isRecorded),
          })
        : await sends.replay(requested, connection);
    switch (turn.kind) {
      case "responded":
        if (turn.storing !== undefined) record.delayResponseUntil(turn.storing);
        return turn.response;
      case "replayed":
        return (await record.start(connection.deviceId)) ?? turn.response;
      case "not_reserved":
        if (found.kind === "replayable") return found.response;
      // An earlier send with these ids was released meanwhile. The device or its mode may have changed since the look-up.
    }
  }
}

/** The device of a send. */
type Found =
  | { readonly kind: "permitted"; readonly connection: KnownConnection }
  /** Nothing may be sent, but a repeat receives the earlier result. */
  | { readonly kind: "replayable"; readonly connection: KnownConnection; readonly response: PlainResponse }
  | Refused;

async function findConnection(
  { connections, sends }: SendRemotePorts,
  { call: { principal }, input, reads }: RemoteSend,
): Promise<Found> {
  const { connectionId } = input.params;
  // A mode can change at any time, so a key with a maximum mode reads it for every send, unless it sets the mode itself.
  const { setMode = null } = principal;
  const readsMode = principal.maxMode !== null && setMode === null;
  const maxAgeMs = readsMode ? alwaysRead : maxRowAgeMs;
  const found = await connections.find(principal, connectionId, reads, maxAgeMs);
  if (found.kind === "refused") {
    const { response } = found;
    // The upstream refuses the caller's own key.
    const isCallerRefused = response.status === 401 || response.status === 403;
    if (isCallerRefused) return refused(response);
    const known = await sends.findConnection(principal.tenant, connectionId);
    // It may repeat an accepted send. "Not found" would then be wrong, and its client would stop retrying.
    if (known === null) return refused(problemResponse("idempotency_unavailable"));
    const connection = known.result;
    const isPermitted = connection !== null && allowsDevice(principal, connection);
    return isPermitted ? { kind: "replayable", connection, response } : refused(response);
  }
  const { row } = found;
  if (!allowsDevice(principal, row)) return refused(problemResponse("connection_not_found"));
  const connection = toKnownConnection(row);
  const currentMode = typeof row["currentMode"] === "string" ? row["currentMode"] : undefined;
  const maxMode = setMode === null ? principal.maxMode : modeCeiling(principal);
  if (allowsMode({ maxMode }, setMode ?? currentMode)) return { kind: "permitted", connection };
  const detail = `The gateway key may not set a mode beyond '${maxMode}'. Nothing was sent.`;
  const response = problemResponse("mode_not_allowed", setMode === null ? {} : { detail });
  return { kind: "replayable", connection, response };
}

/** The members of a row that are stored for repeats, without tags that no key can be limited to. */
export function toKnownConnection({ id: environmentId, deviceId, connectionName, tags }: UpstreamRow): KnownConnection {
  const known = { environmentId, deviceId, connectionName };
  const kept = keptTags(tags);
  return kept.length === 0 ? known : { ...known, tags: kept };
}

/** Sends the request, unless it must not leave. `isRecorded`: its start is in the audit log already. */
async function transmit(
  { clock, callRemote }: SendRemotePorts,
  send: RemoteSend,
  deviceId: string,
  isRecorded: boolean,
): Promise<FinishedSend> {
  const { call, input, request } = send;
  const record = sendRecordOf(call);
  if (isRecorded) record.markStarted();
  const refusal = (isRecorded ? null : await record.start(deviceId)) ?? refuseLate(call, clock);
  const notSet = refusal ?? (await switchMode(callRemote, send));
  if (notSet !== null) return { action: "release", response: notSet };
  const { sendMessage } = endpoints;
  const deadline = { atMs: call.deadline.atMs, signal: neverAborted };
  const { end, response } = await callRemote(sendMessage, request, deadline);
  const outcome = sendOutcome(end, response.status === sendMessage.successStatus, contentOf(input));
  return { action: outcome.action, response: describeDelivery(response, outcome) };
}

/**
 * Switches the conversation to the mode that the key sets, before a message runs in it. Returns the refusal if the device does not report that mode;
 * the message was not sent then.
 */
async function switchMode(
  callRemote: CallRemote,
  { call, input: { params, body }, request }: RemoteSend,
): Promise<PlainResponse | null> {
  const { setMode: mode = null } = call.principal;
  // A decision belongs to the running turn, whose mode does not change.
  if (mode === null || body.messages.every(isApprovalMessage)) return null;
  const { changeMode } = endpoints;
  const { agentId, conversationId } = body;
  const read = readRequest(request, changeMode, params, "");
  const command: UpstreamRequest = {
    ...read,
    headers: { ...read.headers, "content-type": "application/json" },
    body: encoder.encode(JSON.stringify({ agentId, conversationId, mode })),
  };
  const { end, response } = await callRemote(changeMode, command, { atMs: call.deadline.atMs, signal: neverAborted });
  const reported = response.status === 200 ? parseJsonObject(response.body)?.["mode"] : undefined;
  const isSwitched = typeof reported === "string" && isSameMode(reported, mode);
  const outcome = isSwitched ? "done" : switchOutcome(end);
  if (outcome !== null) await sendRecordOf(call).recordModeSwitch(mode, outcome);
  if (isSwitched) return null;
  return errorCodeOf(response) === "endpoint_not_found" ? modeNotSupported : problemResponse("mode_not_set");
}

const modeNotSupported = problemResponse("mode_not_set", {
  detail:
    "The gateway key sets the mode of the conversation first, and the upstream cannot do that. The message was not sent.",
});

/** The outcome of a command after which the device did not report the mode. */
function switchOutcome(end: CallEnd): ModeSwitchOutcome | null {
  if (end === null) return "unknown";
  if ("reason" in end) return end.reason === "unreachable" ? null : "unknown";
  const code = problemCodeOf(end);
  if (code !== null) return code === "control_unknown" ? "unknown" : "rejected";
  // A server in front of the upstream may have passed the command on.
  return end.status >= 500 && end.status !== 501 ? "unknown" : "rejected";
}

const encoder = new TextEncoder();

function contentOf({ body }: OperationInput<"sendMessage">): SentContent {
  return {
    hasMessages: body.messages.some((message) => !isApprovalMessage(message)),
    hasApprovals: body.messages.some(isApprovalMessage),
  };
}
