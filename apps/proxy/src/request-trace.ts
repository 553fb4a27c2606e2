import type { Principal } from "@letta-environments/schema";
import type { AuditedSend } from "./audit/sends.ts";
import type { GatewayRequest } from "./http/gateway-request.ts";
import type { GatewayPorts } from "./ports.ts";
import { describeLimits } from "./limits/response.ts";
import type { LimitedRequest } from "./limits/response.ts";
import { resolveRequestId } from "./http/gateway-request.ts";

/** What is known of a request so far; the steps of the pipeline fill it in. */
export interface RequestTrace {
  readonly requestId: string;
  readonly startedAt: number;
  operation: string | null;
  principal: Principal | null;
  /** What the audit log is told of it, once it is the send of a known caller. */
  send: AuditedSend | null;
  /** What the rate limits say to it, once they were asked. */
  limited: LimitedRequest | null;
}

/** Begins the trace of a request. */
export function beginTrace(request: GatewayRequest, ports: Pick<GatewayPorts, "clock" | "randomId">): RequestTrace {
  const requestId = resolveRequestId(request.header("x-request-id"), ports.randomId);
  return { requestId, startedAt: ports.clock.monotonic(), operation: null, principal: null, send: null, limited: null };
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
    durationMs: ports.clock.monotonic() - trace.startedAt,
    tenant: trace.principal?.tenant ?? null,
    keyId: trace.principal?.keyId ?? null,
    ...describeLimits(trace.limited?.outcome),
  });
}
