/** The `Idempotency-Key` of a send (draft-ietf-httpapi-idempotency-key-header-07). Any text is a key, not only a quoted one. */
import { type KnownEndpoint, problemResponse } from "@letta-environments/schema";
import type { Refusal } from "../lib/steps.ts";
import type { GatewayRequest } from "./gateway-request.ts";

/** Printable ASCII without commas. Several fields of one name are joined by commas, and every runtime joins them before we see them. */
const keyPattern = /^[\x20-\x2b\x2d-\x7e]{1,256}$/;

const invalidKey: Refusal = {
  kind: "refused",
  response: problemResponse("invalid_request", {
    issues: [
      { member: "idempotency-key", rule: "must be sent once, as 1 to 256 printable ASCII characters without a comma" },
    ],
  }),
};

/** Reads the key of a send; `null` if it has none, and for other requests, which ignore the header. */
export function readIdempotencyKey(
  request: Pick<GatewayRequest, "header">,
  { operation }: Pick<KnownEndpoint, "operation">,
): { readonly idempotencyKey: string | null } | Refusal {
  const idempotencyKey = operation === "sendMessage" ? request.header("idempotency-key") : null;
  return idempotencyKey === null || keyPattern.test(idempotencyKey) ? { idempotencyKey } : invalidKey;
}
