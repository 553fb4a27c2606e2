import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { DeliveryOutcome } from "../ports.ts";

/**
 * The response for what is known about a send. `replayed` marks an answer that belongs to an earlier request, with
 * `Idempotency-Replayed: true`.
 */
export function outcomeResponse(outcome: DeliveryOutcome, replayed: boolean): PlainResponse {
  const headers = replayed ? { "idempotency-replayed": "true" } : {};
  switch (outcome.kind) {
    case "accepted": {
      const { disposition } = outcome;
      const message = `Message accepted by the device${disposition === null ? "" : ` (${disposition})`}.`;
      return jsonResponse(200, { success: true, message, ...(disposition !== null && { disposition }) }, headers);
    }
    case "rejected":
      return problemResponse("input_rejected", { ...(outcome.error !== null && { detail: outcome.error }), headers });
    case "unknown":
      return problemResponse("delivery_unknown", { headers });
  }
}
