import {
  decodeQuery,
  IdentifierSchema,
  jsonResponse,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import * as v from "valibot";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { exactObject, oneOf } from "../lib/strict-schemas.ts";
import type { RateLimitDecision } from "../rate-limit/store.ts";
import type { RequestLimits } from "./request-limits.ts";
import { addRateLimitHeaders } from "./response.ts";

/** Where a caller asks what is left of its limits. An extension of the API. */
export const rateLimitPath = "/v1/ratelimit";

const askable = [
  "listEnvironments",
  "retrieveEnvironment",
  "sendMessage",
  "registerEnvironment",
  "openDeviceSocket",
] as const;

const QuerySchema = exactObject(
  {
    operation: v.exactOptional(oneOf(askable), "listEnvironments"),
    deviceId: v.exactOptional(IdentifierSchema),
  },
  () => "is not a parameter of the rate limits",
);

/** Refuses another method than GET and HEAD; `null` for these. */
export function checkRateLimitMethod(method: string): PlainResponse | null {
  if (method === "GET" || method === "HEAD") return null;
  return problemResponse("method_not_allowed", { headers: { allow: "GET, HEAD" } });
}

/** Tells what is left under the policies of an operation, and takes nothing. */
export async function retrieveRateLimit(
  request: GatewayRequest,
  principal: GatewayPrincipal,
  limits: RequestLimits | null,
): Promise<PlainResponse> {
  const decoded = decodeQuery(QuerySchema, new URLSearchParams(request.query).toString());
  if (!decoded.ok) return decoded.response;
  const { operation, deviceId = null } = decoded.value;
  if (limits === null) return jsonResponse(200, { operation, policies: [] });
  const traits = { address: limits.addressOf(request), device: deviceId };
  const outcome = await limits.probe(principal, operation, traits);
  const body = { operation, policies: outcome.decisions.map(showVerdict) };
  return addRateLimitHeaders(jsonResponse(200, body), { ...outcome, admitted: true });
}

function showVerdict({ policy, allowed, remaining, resetMs, retryAfterMs, degraded }: RateLimitDecision): unknown {
  const { name, unit, limit, windowMs, burst, mode } = policy;
  const measure = unit === "requests" ? { limit, windowMs, burst } : { limit };
  return { name, unit, mode, ...measure, allowed, remaining, resetMs, retryAfterMs, degraded };
}
