/**
 * A request on its way through the pipeline: its state, which the steps fill in, how each step is wrapped for measurements, and the line of the log
 * that is made of the state at the end.
 */
import type { PlainResponse, Principal } from "@letta-environments/schema";
import type { AuditedAction } from "./audit/actions.ts";
import type { GatewayPrincipal } from "./auth/authentication.ts";
import type { MaybePromise, WrapStep } from "./lib/steps.ts";
import type { GatewayPorts } from "./ports.ts";
import { describeRateLimit, type RateLimitResult } from "./limits/response.ts";
import { type GatewayRequest, requestIdOf } from "./http/gateway-request.ts";
import type { BodyHolder } from "./http/validate-request.ts";
import { errorCodeOf } from "./http/response.ts";
import type { StepName } from "./step-names.ts";
import type { CacheOutcome } from "./telemetry.ts";

/** The facts about a request that the log, the limits and the audit need at its end. The steps of the pipeline fill it in. */
export interface RequestState extends BodyHolder {
  readonly requestId: string;
  readonly startedAt: number;
  operation: string | null;
  principal: Principal | null;
  /** The audit record of a request that acts on a device. */
  action: AuditedAction | null;
  /** The result of the rate limits; `null` if they were not checked. */
  rateLimit: RateLimitResult | null;
  /** Why the credentials were refused; for the log only. */
  refusalReason: string | null;
  /** The measurements of an observer; `null` without one. */
  observation: RequestObservation | null;
  /** Codes with which restrictions in shadow mode would have refused the request. */
  shadowRefusedBy: readonly string[];
  /** The wait for the end of a turn that the caller requested, in seconds; `null`: none. */
  waitSeconds: number | null;
  /** The outcome of the cache; `null` if it was not used. */
  cacheOutcome: CacheOutcome | null;
}

/** A request before the first step. Steps record in its state what the log, the limits and the audit need at the end. */
export interface RequestExchange {
  readonly request: GatewayRequest;
  readonly state: RequestState;
  /** The caller, where it is known without a credential: for the frames of a socket that was authenticated when it opened. */
  readonly caller?: GatewayPrincipal;
}

/** Wraps the steps of the API, for observers. */
export type WrapApiStep = WrapStep<StepName, RequestExchange>;

/** Measures a request, see `tracing/observer.ts`. */
export interface RequestObservation {
  /** The trace that the request belongs to; `null` if it belongs to none. */
  readonly traceId: string | null;
  /** Records a step that began at a monotonic time and ends now. */
  record(step: string, startedAt: number): void;
  /** Runs a step and records it. */
  measure<Result>(step: string, run: () => MaybePromise<Result>): MaybePromise<Result>;
  /** Reports the measurements, and returns the response with those that its caller may see. */
  finish(response: PlainResponse): PlainResponse;
}

/** Creates the state of a request that has just arrived. */
export function createRequestState(
  request: GatewayRequest,
  ports: Pick<GatewayPorts, "clock" | "randomId">,
): RequestState {
  const requestId = requestIdOf(request, ports.randomId);
  return {
    requestId,
    startedAt: ports.clock.monotonic(),
    operation: null,
    principal: null,
    action: null,
    rateLimit: null,
    refusalReason: null,
    observation: null,
    shadowRefusedBy: noCodes,
    waitSeconds: null,
    cacheOutcome: null,
    releaseBody: null,
  };
}

const noCodes: readonly string[] = [];

/** Statuses of refusals whose log lines name the client's address. */
const refusals: ReadonlySet<number> = new Set([401, 403, 404, 429]);

/** The ports that log requests. */
export interface ReportingPorts extends Pick<GatewayPorts, "clock" | "telemetry"> {
  /** Returns the address by which a client is counted; it is logged for refused requests. */
  readonly addressOf: (request: GatewayRequest) => string | null;
}

/** Reports how a request ended. */
export function reportRequest(
  state: RequestState,
  request: GatewayRequest,
  { status, body }: Pick<PlainResponse, "status" | "body">,
  ports: ReportingPorts,
): void {
  const errorCode = errorCodeOf({ status, body });
  ports.telemetry({
    type: "request",
    requestId: state.requestId,
    method: request.method,
    operation: state.operation,
    status,
    durationMs: Math.round((ports.clock.monotonic() - state.startedAt) * 1_000) / 1_000,
    tenant: state.principal?.tenant ?? null,
    keyId: state.principal?.keyId ?? null,
    ...(errorCode !== null && { errorCode }),
    ...(refusals.has(status) && { clientAddress: ports.addressOf(request) }),
    ...(state.observation !== null && state.observation.traceId !== null && { traceId: state.observation.traceId }),
    ...(state.waitSeconds !== null && { waitSeconds: state.waitSeconds }),
    ...(state.cacheOutcome !== null && { cache: state.cacheOutcome }),
    ...(state.shadowRefusedBy.length > 0 && { shadowRefusedBy: state.shadowRefusedBy }),
    ...(state.refusalReason !== null && { reason: state.refusalReason }),
    ...describeRateLimit(state.rateLimit?.outcome),
  });
}
