import type { Principal } from "@letta-environments/schema";
import type { AuditedSend } from "./audit/sends.ts";
import type { GatewayRequest } from "./http/gateway-request.ts";
import type { GatewayPorts } from "./ports.ts";
import { describeRateLimit } from "./limits/response.ts";
import type { RateLimitResult } from "./limits/response.ts";
import { resolveRequestId } from "./http/gateway-request.ts";

/** The facts about a request that the log, the limits and the audit need at its end. The steps of the pipeline fill it in. */
export interface RequestTrace {
  readonly requestId: string;
  readonly startedAt: number;
  operation: string | null;
  principal: Principal | null;
  /** The audit record, for a send. */
  send: AuditedSend | null;
  /** The result of the rate limits; `null` if they were not checked. */
  rateLimit: RateLimitResult | null;
}

/** Begins the trace of a request. */
export function beginTrace(request: GatewayRequest, ports: Pick<GatewayPorts, "clock" | "randomId">): RequestTrace {
  const requestId = resolveRequestId(request.header("x-request-id"), ports.randomId);
  return {
    requestId,
    startedAt: ports.clock.monotonic(),
    operation: null,
    principal: null,
    send: null,
    rateLimit: null,
  };
}

/** Reports how a request ended. */
export function endTrace(
  trace: RequestTrace,
  method: string,
  status: number,
  ports: Pick<GatewayPorts, "clock" | "telemetry">,
): void {
  ports.telemetry({
    type: "request",
    requestId: trace.requestId,
    method,
    operation: trace.operation,
    status,
    durationMs: Math.round(ports.clock.monotonic() - trace.startedAt),
    tenant: trace.principal?.tenant ?? null,
    keyId: trace.principal?.keyId ?? null,
    ...describeRateLimit(trace.rateLimit?.outcome),
  });
}
