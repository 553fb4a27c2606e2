/** Authorisation of a request by its endpoint and body. The device allowlist for lists and sends is applied by the upstream. */
import {
  allowsAgent,
  type Endpoint,
  isApprovalMessage,
  type PlainResponse,
  type Principal,
  problemResponse,
  type SendMessageBody,
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
  if (!principal.scopes.has(endpoint.scope)) return insufficientScope(endpoint.scope);
  const deviceId = params["deviceId"];
  if (deviceId !== undefined && !mayAllowId(principal, deviceId)) return problemResponse("environment_not_found");
  return null;
}

/**
 * Returns the refusal of a body that addresses an agent outside the key's list, or that decides an approval without the scope
 * `approve`; `null` when the key may send it.
 */
export function authoriseBody(principal: Principal, endpoint: Endpoint, body: unknown): PlainResponse | null {
  if (endpoint.operation !== "sendMessage") return null;
  // The endpoint's own schema has decoded it.
  const { messages, agentId } = body as SendMessageBody;
  if (!allowsAgent(principal, agentId)) return problemResponse("agent_not_allowed");
  if (principal.scopes.has("approve")) return null;
  return messages.some(isApprovalMessage) ? insufficientScope("approve") : null;
}

/** Whether a device with this id can be in the allowlist. With name patterns only the device's row can tell. */
function mayAllowId({ deviceIds, connectionNames }: Principal, deviceId: string): boolean {
  return deviceIds === null || connectionNames !== null || deviceIds.includes(deviceId);
}
