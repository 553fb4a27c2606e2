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
 * Whether a key may use an endpoint at all: its scope, and the device named in the path where its id alone decides. A device
 * outside the key's allowlist does not exist for it (404, not 403: its existence is no business of this key).
 */
export function authoriseEndpoint(
  principal: Principal,
  endpoint: Endpoint,
  params: Readonly<Record<string, string>>,
): PlainResponse | null {
  if (!principal.scopes.has(endpoint.scope)) return insufficientScope(endpoint.scope);
  const deviceId = params["deviceId"];
  if (deviceId !== undefined && !mayHaveId(principal, deviceId)) return problemResponse("environment_not_found");
  return null;
}

/**
 * Whether a key may ask for what a decoded body holds: the agent must be one of its agents, and answers to approval requests
 * need a scope of their own.
 */
export function authoriseBody(principal: Principal, endpoint: Endpoint, body: unknown): PlainResponse | null {
  if (endpoint.operation !== "sendMessage") return null;
  // The endpoint's own schema has decoded it.
  const { messages, agentId } = body as SendMessageBody;
  if (!allowsAgent(principal, agentId)) return problemResponse("agent_not_allowed");
  if (principal.scopes.has("approve")) return null;
  return messages.some(isApprovalMessage) ? insufficientScope("approve") : null;
}

/** Whether a device with this id can be within a key's allowlist: one with patterns of names has to be looked at. */
function mayHaveId({ deviceIds, connectionNames }: Principal, deviceId: string): boolean {
  return deviceIds === null || connectionNames !== null || deviceIds.includes(deviceId);
}
