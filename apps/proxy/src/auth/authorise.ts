/** Authorisation of a request by its endpoint and body. The device allowlist for lists and sends is applied by the upstream. */
import {
  allowsAgent,
  allowsEndpoint,
  type DecodedRequest,
  type Endpoint,
  isApprovalMessage,
  type PlainResponse,
  type Principal,
  problemResponse,
  refuseControl,
  refuseLastingPermission,
} from "@letta-environments/schema";
import { insufficientScope } from "./authentication.ts";

/**
 * Returns the refusal of a key that lacks the endpoint's scope, or whose allowlist excludes the device in the path; `null` when
 * the key may use the endpoint. A device outside the allowlist is 404, not 403, so that its existence stays hidden.
 */
export function authoriseEndpoint(
  principal: Principal,
  endpoint: Endpoint,
  params: Readonly<Record<string, string>>,
): PlainResponse | null {
  if (!allowsEndpoint(principal, endpoint)) return insufficientScope(endpoint.scope);
  const deviceId = params["deviceId"];
  if (deviceId !== undefined && !mayAllowId(principal, deviceId)) return problemResponse("environment_not_found");
  return null;
}

/**
 * Returns the refusal of an input that names an agent outside the key's list, that decides an approval without the scope `approve`, that grants a
 * lasting permission with a limited key, that reads the output of devices without the scope `view`, or that sets a mode beyond the one that the key
 * may choose; `null` when the key may send it. Only the device knows which agent a named conversation belongs to; the embedded server asks it.
 */
export function authoriseInput(principal: Principal, request: DecodedRequest): PlainResponse | null {
  if (request.operation === "sendMessage") {
    const { messages, agentId } = request.body;
    if (!allowsAgent(principal, agentId)) return problemResponse("agent_not_allowed");
    if (!principal.scopes.has("approve") && messages.some(isApprovalMessage)) return insufficientScope("approve");
    return refuseLastingPermission(principal, request.body);
  }
  if (request.operation === "streamEvents" && request.query.include === "output" && !principal.scopes.has("view"))
    return insufficientScope("view");
  return refuseControl(principal, request);
}

/** Whether a device with this id can be in the allowlist. Name patterns and tags need the device's row. */
function mayAllowId({ deviceIds, connectionNames }: Principal, deviceId: string): boolean {
  return deviceIds === null || connectionNames !== null || deviceIds.includes(deviceId);
}
