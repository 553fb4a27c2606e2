/**
 * The environment server in the same process. It receives decoded input and the principal, so nothing is matched or decoded twice. It checks devices,
 * agents and modes itself, because it is also used without the gateway.
 */
import type { RequestContext } from "@letta-environments/environment-server";
import {
  type DeviceIdentity,
  declareDeduplication,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import { createAcceptInvitation } from "../auth/invitations.ts";
import { callerGone } from "../http/gateway-request.ts";
import { parseTraceparent } from "../http/traceparent.ts";
import { neverAborted, runWithDeadline } from "../lib/deadline.ts";
import type { DevicesFor, EmbeddedServer, GatewayPorts, KeyStoreFor, UpstreamProgress } from "../ports.ts";
import type { UpstreamServer } from "./settings.ts";
import {
  type DecideAgain,
  isUnsafeToRepeat,
  recordOf,
  refuseLate,
  unknownOutcome,
  type Upstream,
  type UpstreamCall,
} from "./upstream.ts";

/** The audit of what an embedded server does for the gateway's keys. A change that cannot be audited rejects with a `ChangeRefusedError`. */
export interface EmbeddedUpstreamOptions {
  /**
   * The audited administration of devices; absent or `null`: changes are not audited, and an invitation is used before its device is compared with
   * the stored rows.
   */
  readonly devicesFor?: DevicesFor | null;
  /** The audited stores of keys, for invitations; absent or `null`: acceptances are not audited. */
  readonly keyStoreFor?: KeyStoreFor | null;
}

/** Makes the embedded server the upstream of a gateway. */
export function embedServer(server: EmbeddedServer, options?: EmbeddedUpstreamOptions): UpstreamServer {
  return { kind: "embedded", server, createUpstream: (ports) => createEmbeddedUpstream(ports, server, options) };
}

/** Creates the {@link Upstream} over the embedded server. */
export function createEmbeddedUpstream(
  ports: Pick<GatewayPorts, "clock" | "keyStore" | "telemetry">,
  server: EmbeddedServer,
  { devicesFor = null, keyStoreFor }: EmbeddedUpstreamOptions = {},
): Upstream {
  const accept = createAcceptInvitation({
    ...ports,
    keyStoreFor: keyStoreFor ?? undefined,
    async findRows({ keyId, tenant }, deviceId) {
      const devices = devicesFor?.({ kind: "key", keyId, tenant });
      return (await devices?.list({ tenant, deviceId, afterId: null, limit: null })) ?? [];
    },
  });

  function run(call: UpstreamCall, principal: GatewayPrincipal, beforeEnrol: RequestContext["beforeEnrol"]) {
    return runCall(ports, call, (signal, progress) =>
      operate(server, { ...call, principal }, { signal, progress, beforeEnrol }, devicesFor),
    );
  }

  async function register(call: UpstreamCall, device: DeviceIdentity): Promise<PlainResponse> {
    const acceptance = await accept(call.principal, device);
    if (acceptance.kind === "refused") return acceptance.response;
    const { principal, useInvitation } = acceptance;
    if (useInvitation === undefined) return run(call, principal, undefined);
    // The server would report a failure of the key store as one of its own.
    const failures: unknown[] = [];
    const response = await run(call, principal, () =>
      useInvitation().catch((cause: unknown) => {
        failures.push(cause);
        return problemResponse("internal_error");
      }),
    );
    if (failures.length > 0) throw failures[0];
    return response;
  }

  return {
    async forward(call) {
      if (call.endpoint.operation === "sendMessage" || call.endpoint.scope === "control") {
        const refusal = await recordOf(call).start(call.connection?.environment.deviceId ?? null);
        const response = refusal ?? refuseLate(call, ports.clock);
        if (response !== null) return declareDeduplication(response);
      }
      return call.decoded.operation === "registerEnvironment"
        ? register(call, call.decoded.body)
        : run(call, call.principal, undefined);
    },
    isLoop: () => false,
    findConnection: (tenant, connectionId) => server.findConnection(tenant, connectionId),
    forget: () => undefined,
  };
}

/**
 * Runs a call until its deadline, and reports a timeout. The server keeps the progress up to date, so that a call that was not sent may be
 * repeated. When the caller disconnects, a call that was already sent to a device continues, because its result is recorded; only waits for the
 * end of a turn stop. For calls to a remote server, see `attempt.ts`.
 */
async function runCall(
  { clock, telemetry }: Pick<GatewayPorts, "clock" | "telemetry">,
  { endpoint, deadline }: Pick<UpstreamCall, "endpoint" | "deadline">,
  run: (signal: AbortSignal, progress: UpstreamProgress) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const progress: UpstreamProgress = { isSent: false };
  let running = Promise.resolve(callerGone);
  let outcome = await runWithDeadline(clock, deadline, (signal) => {
    progress.isSent = true;
    return (running = run(signal, progress));
  });
  if (outcome.kind === "caller_gone" && isUnsafeToRepeat(endpoint) && progress.isSent) {
    // A send of several frames stops after the current one, and its result says so. `running` rejects if that frame was not written after all.
    const ended = running.catch(() => callerGone);
    outcome = await runWithDeadline(clock, { ...deadline, signal: neverAborted }, () => ended);
  }
  if (outcome.kind === "finished") return outcome.result;
  if (outcome.kind === "caller_gone") return callerGone;
  telemetry({ type: "upstream_failed", operation: endpoint.operation, reason: "timeout", cause: null });
  const mayBeDelivered = isUnsafeToRepeat(endpoint) && progress.isSent;
  const response = mayBeDelivered
    ? // The server decides on repeats in its own response, which is due long before.
      unknownOutcome(endpoint, { retryable: false })
    : problemResponse("upstream_timeout");
  // As the server's own responses do. Devices send no messages.
  return endpoint.audience === "caller" ? declareDeduplication(response) : response;
}

function operate(
  server: EmbeddedServer,
  call: UpstreamCall,
  running: Pick<RequestContext, "beforeEnrol" | "signal" | "progress">,
  devicesFor: DevicesFor | null,
): Promise<PlainResponse> {
  const { decoded, principal, request, connection, decideAgain } = call;
  const { invite, keyId, tenant } = principal;
  // Each operation reads the members that concern it.
  return server.operate(decoded.operation, decoded, principal, {
    ...running,
    authority: request.authority,
    traceId: parseTraceparent(request.header("traceparent"))?.traceId ?? null,
    idempotencyKey: call.idempotencyKey,
    waitSeconds: call.waitSeconds,
    onAccepted: call.forgetBody,
    ...(connection !== undefined && { connection }),
    ...(decideAgain !== undefined && { decideAgain: compareWithLast(decideAgain, principal) }),
    ...(invite !== undefined && { labels: { displayName: null, tags: invite.tags } }),
    ...(devicesFor !== null && { devices: devicesFor({ kind: "key", keyId, tenant }) }),
  });
}

/** Compares each decision with the one before it, as the server expects. A key can gain permissions for a moment, and lose them again. */
function compareWithLast(decideAgain: DecideAgain, permitted: GatewayPrincipal): () => ReturnType<DecideAgain> {
  let last = permitted;
  return async () => {
    const decided = await decideAgain(last);
    if (decided.kind !== "refused") last = decided.principal;
    return decided;
  };
}
