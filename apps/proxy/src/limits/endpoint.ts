/** `GET /v1/ratelimit`: reports what remains of the caller's limits. An extension of the API that every key may call. */
import { decodeQuery, IdentifierSchema, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import * as v from "valibot";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { exactObject, oneOf } from "../lib/strict-schemas.ts";
import type { RateLimitDecision } from "../rate-limit/store.ts";
import { countedDevice, type RequestLimits } from "./request-limits.ts";
import { addRateLimitHeaders } from "./response.ts";

/** The path of the endpoint. */
export const rateLimitPath = "/v1/ratelimit";

/** The operations whose limits can be queried. */
export const limitedOperations = [
  "listEnvironments",
  "retrieveEnvironment",
  "sendMessage",
  "awaitMessage",
  "registerEnvironment",
  "openDeviceSocket",
  "controlDevice",
  "commandDevice",
] as const;

const QuerySchema = exactObject(
  {
    operation: v.exactOptional(oneOf(limitedOperations), "listEnvironments"),
    deviceId: v.exactOptional(IdentifierSchema),
  },
  () => "is not a parameter of the rate limits",
);

/** Returns the policies that apply to an operation, and what remains of each. Charges none of them. */
export async function retrieveRateLimit(
  request: GatewayRequest,
  principal: GatewayPrincipal,
  limits: RequestLimits | null,
): Promise<PlainResponse> {
  const decoded = decodeQuery(QuerySchema, new URLSearchParams(request.query).toString());
  if (!decoded.ok) return decoded.response;
  const { operation, deviceId } = decoded.value;
  if (limits === null) return jsonResponse(200, { operation, policies: [] });
  const context = {
    address: limits.addressOf(request),
    device: deviceId === undefined ? null : countedDevice(principal, { deviceId }),
  };
  const outcome = await limits.probe(principal, operation, context);
  const body = { operation, policies: outcome.decisions.map(presentDecision) };
  return addRateLimitHeaders(jsonResponse(200, body), { ...outcome, admitted: true });
}

function presentDecision(decision: RateLimitDecision): unknown {
  const { policy, allowed, remaining, resetMs, retryAfterMs, degraded } = decision;
  const { name, unit, limit, windowMs, burst, mode } = policy;
  const size = unit === "requests" ? { limit, windowMs, burst } : { limit };
  return { name, unit, mode, ...size, allowed, remaining, resetMs, retryAfterMs, degraded };
}
