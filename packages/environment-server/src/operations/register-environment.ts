import {
  allowsDevice,
  decodeBody,
  jsonResponse,
  type PlainRequest,
  type PlainResponse,
  type Principal,
  problemResponse,
  RegisterRequestSchema,
  type RegisterResponse,
} from "@letta-environments/schema";
import { maxEnvironmentsPerTenant, maxMetadataLength } from "../limits.ts";
import { buildSocketUrl } from "./build-socket-url.ts";
import type { RequestContext, ServerContext } from "./operation-context.ts";

/** The listenerInstanceId of devices that send none. */
const defaultListenerInstanceId = "default";

/**
 * Enrols a device and tells it where to open its socket. Each registration has a connectionId of its own; it replaces the
 * earlier one when its socket opens.
 *
 * Refusals: 403 `device_not_allowed` (the key's allowlist, also for the names that a shared device already has, or a full
 * tenant) and 403 `device_owned_by_another_key`. They are 403 because a device gives up on it at once, whereas it repeats 429 and 5xx.
 */
export async function registerEnvironment(
  context: ServerContext,
  request: PlainRequest,
  principal: Principal,
  { authority }: RequestContext,
): Promise<PlainResponse> {
  const body = decodeBody(RegisterRequestSchema, request.body, request.headers["content-type"]);
  if (!body.ok) return body.response;
  const { deviceId, connectionName, listenerInstanceId = defaultListenerInstanceId, metadata = null } = body.value;
  if (metadata !== null && JSON.stringify(metadata).length > maxMetadataLength) {
    const issues = [{ member: "metadata", rule: `must have at most ${maxMetadataLength} characters as JSON` }];
    return problemResponse("invalid_request", { issues });
  }
  if (!allowsDevice(principal, { deviceId, connectionName })) return problemResponse("device_not_allowed");
  const connectionId = context.randomId("conn");
  const wsUrl = buildSocketUrl(context.publicUrl, authority, connectionId);
  if (wsUrl === null) {
    const issues = [{ member: "host", rule: "must be the address of this server, which has no public URL configured" }];
    return problemResponse("invalid_request", { issues });
  }
  const result = await context.store.enrol({
    tenant: principal.tenant,
    deviceId,
    listenerInstanceId,
    connectionName,
    metadata,
    keyId: principal.keyId,
    owner: principal.owner,
    shared: principal.shared,
    knownNames: principal.deviceIds?.includes(deviceId) === true ? null : principal.connectionNames,
    environmentId: context.randomId("env"),
    connectionId,
    nowMs: context.clock.now(),
    maxEnvironments: maxEnvironmentsPerTenant,
  });
  switch (result.kind) {
    case "owned_by_another_key":
      return problemResponse("device_owned_by_another_key");
    case "not_allowed":
      return problemResponse("device_not_allowed");
    case "too_many_environments":
      return problemResponse("device_not_allowed", {
        detail: `The tenant already has ${maxEnvironmentsPerTenant} environments; no other device can be enrolled.`,
      });
    case "enrolled": {
      const { environmentId } = result;
      const device = { tenant: principal.tenant, environmentId, deviceId, connectionId };
      context.emit({ type: "device_registered", ...device, keyId: principal.keyId });
      return jsonResponse(200, { connectionId, wsUrl } satisfies RegisterResponse);
    }
  }
}
