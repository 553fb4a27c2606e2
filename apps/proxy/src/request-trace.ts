import type { Operation, Principal } from "@letta-environments/schema";
import type { AdminOperation } from "./admin/admin-endpoints.ts";
import type { AuditedSend } from "./audit/audit-sends.ts";
import type { GatewayRequest } from "./gateway-request.ts";
import type { ProxyPorts } from "./ports.ts";
import { resolveRequestId } from "./request-id.ts";

/** What is known of a request so far; the steps of the pipeline fill it in. */
export interface RequestTrace {
  readonly requestId: string;
  readonly startedAt: number;
  operation: Operation | AdminOperation | null;
  principal: Principal | null;
  /** What the audit log is told of it, once it is the send of a known caller. */
  send: AuditedSend | null;
}

/** Begins the trace of a request. */
export function beginTrace(request: GatewayRequest, ports: Pick<ProxyPorts, "clock" | "randomId">): RequestTrace {
  const requestId = resolveRequestId(request.header("x-request-id"), ports.randomId);
  return { requestId, startedAt: ports.clock.now(), operation: null, principal: null, send: null };
}

/** Reports how a request ended. */
export function endTrace(
  trace: RequestTrace,
  method: string,
  status: number,
  ports: Pick<ProxyPorts, "clock" | "telemetry">,
): void {
  ports.telemetry({
    type: "request",
    requestId: trace.requestId,
    method,
    operation: trace.operation,
    status,
    durationMs: ports.clock.now() - trace.startedAt,
    tenant: trace.principal?.tenant ?? null,
    keyId: trace.principal?.keyId ?? null,
  });
}
