import { checkIdempotencyKey, idempotencyKeyHeader, type KnownEndpoint } from "@letta-environments/schema";
import type { Refusal } from "../lib/steps.ts";
import type { GatewayRequest } from "./gateway-request.ts";

/** Reads the `Idempotency-Key` of a send; `null` if it has none, and for other requests, which ignore the header. */
export function readIdempotencyKey(
  request: Pick<GatewayRequest, "header">,
  { operation }: Pick<KnownEndpoint, "operation">,
): { readonly idempotencyKey: string | null } | Refusal {
  const idempotencyKey = operation === "sendMessage" ? request.header(idempotencyKeyHeader) : null;
  const response = checkIdempotencyKey(idempotencyKey);
  return response === null ? { idempotencyKey } : { kind: "refused", response };
}
