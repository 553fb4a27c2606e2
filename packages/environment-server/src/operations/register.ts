/** The registration of a device, and the opening of its socket afterwards. `sqlite/enrol.ts` decides whose device it is; the socket is in `socket/`. */
import {
  allowsDevice,
  buildPath,
  endpoints,
  jsonResponse,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
  refused,
  type RegisterResponse,
  type UpgradeDecision,
} from "@letta-environments/schema";
import { maxEnvironmentsPerKey, maxMetadataLength } from "../limits.ts";
import { ownerOf } from "../socket/connection.ts";
import type { ThrottledDevice } from "../socket/throttle.ts";
import type { RequestContext, ServerContext } from "./context.ts";

/**
 * The prefix of connectionIds. Devices since 0.32.8 take the prefix `conn-` for the vendor's cloud, and query an agents API there
 * before they recover an interrupted turn. Registrations of earlier versions of this server keep such ids.
 */
const connectionIdPrefix = "env-conn";

/** The listenerInstanceId of devices that send none. */
const defaultListenerInstanceId = "default";

/**
 * Enrols a device and returns the URL of its socket. Each registration has its own connectionId, which replaces the earlier one
 * when its socket opens.
 *
 * Refusals: 403 `device_not_allowed` (the key's allowlist, also for the names that a shared device already has, or a key with too
 * many rows) and 403 `device_owned_by_another_key`. The status is 403 because a device gives up immediately on it, but repeats the
 * request after 429 and 5xx, such as the 429 `device_throttled` of a device that exceeded a limit.
 */
export async function registerEnvironment(
  server: ServerContext,
  { body }: OperationInput<"registerEnvironment">,
  principal: Principal,
  { authority, labels = null, beforeEnrol }: RequestContext,
): Promise<PlainResponse> {
  const { deviceId, connectionName, listenerInstanceId = defaultListenerInstanceId, metadata = null } = body;
  if (metadata !== null && JSON.stringify(metadata).length > maxMetadataLength) {
    const issues = [{ member: "metadata", rule: `must have at most ${maxMetadataLength} characters as JSON` }];
    return problemResponse("invalid_request", { issues });
  }
  const tags = await readTags(server, principal, deviceId);
  if (!allowsDevice(principal, { deviceId, connectionName, tags })) return problemResponse("device_not_allowed");
  const { tenant, keyId } = principal;
  const throttled = throttledResponse(server, { tenant, keyId, deviceId, listenerInstanceId });
  if (throttled !== null) return throttled;
  const connectionId = server.randomId(connectionIdPrefix);
  const wsUrl = buildSocketUrl(server.publicUrl, authority, connectionId);
  if (wsUrl === null) {
    const issues = [{ member: "host", rule: "must be the address of this server, which has no public URL configured" }];
    return problemResponse("invalid_request", { issues });
  }
  const refusal = (await beforeEnrol?.()) ?? null;
  if (refusal !== null) return refusal;
  const result = await server.store.enrol({
    tenant: principal.tenant,
    deviceId,
    listenerInstanceId,
    connectionName,
    // Every list repeats it, and stricter parsers than ours reject a list that contains an unpaired surrogate.
    metadata: replaceSurrogates(metadata) as typeof metadata,
    keyId: principal.keyId,
    owner: principal.owner,
    shared: principal.shared,
    knownNames: principal.deviceIds?.includes(deviceId) === true ? null : principal.connectionNames,
    labels,
    environmentId: server.randomId("env"),
    connectionId,
    nowMs: server.time.wall(),
    maxEnvironments: maxEnvironmentsPerKey,
  });
  switch (result.kind) {
    case "owned_by_another_key":
      return problemResponse("device_owned_by_another_key");
    case "not_allowed":
      return problemResponse("device_not_allowed");
    case "too_many_environments":
      return problemResponse("device_not_allowed", {
        detail: `The key already has ${maxEnvironmentsPerKey} environments; no other device can be enrolled with it.`,
      });
    case "enrolled": {
      const { environmentId } = result;
      const device = { tenant: principal.tenant, environmentId, deviceId, connectionId };
      server.emit({ type: "device_registered", ...device, keyId: principal.keyId });
      return jsonResponse(200, { connectionId, wsUrl } satisfies RegisterResponse);
    }
  }
}

/**
 * Returns 429 `device_throttled` while a device is refused because it exceeded limits, else `null`. A device that was connected
 * before waits as long as `Retry-After` says; it never gives up.
 */
function throttledResponse({ hub }: ServerContext, device: ThrottledDevice): PlainResponse | null {
  const remainingMs = hub.throttledMs(device);
  if (remainingMs === 0) return null;
  return problemResponse("device_throttled", { retryAfterSeconds: Math.ceil(remainingMs / 1_000) });
}

/** The present tags of the device, if the principal is limited to tags. A device cannot give itself any. */
async function readTags({ store }: ServerContext, { tenant, deviceTags }: Principal, deviceId: string) {
  if (deviceTags === undefined || deviceTags === null) return [];
  return (await store.findEnvironments(tenant, deviceId))[0]?.tags ?? [];
}

/** Builds the URL of a device's socket below the public URL, else below the request's origin. `null` when neither is http(s). */
function buildSocketUrl(publicUrl: string | null, authority: string | null, connectionId: string): string | null {
  const base = parseHttpUrl(publicUrl) ?? parseHttpUrl(authority);
  if (base === null) return null;
  const scheme = base.protocol === "https:" ? "wss:" : "ws:";
  // Only a configured URL may contain a path. Only host and port of the request's origin are used.
  const basePath = publicUrl === null ? "" : base.pathname.replace(/\/+$/, "");
  return `${scheme}//${base.host}${basePath}${buildPath(endpoints.openDeviceSocket, { connectionId })}`;
}

function parseHttpUrl(text: string | null): URL | null {
  const url = text === null ? null : URL.parse(text);
  return url !== null && (url.protocol === "http:" || url.protocol === "https:") ? url : null;
}

/** Returns a JSON value whose strings and names have U+FFFD in place of every unpaired surrogate, which JSON can express with an escape. */
function replaceSurrogates(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(replaceSurrogates);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) => [name.toWellFormed(), replaceSurrogates(member)]),
  );
}

/**
 * Decides on the upgrade request of a device. Every refusal happens here, before the handshake: a device backs off after a
 * refused upgrade, but reconnects immediately and forever when an open socket is closed.
 *
 * Refusals: 404 `connection_not_found` (unknown, of another tenant, outside the key's allowlist, or of another device), 403
 * `device_owned_by_another_key` unless the key is the one that registered, 409 `connection_replaced`, 429 `device_throttled`.
 */
export async function decideUpgrade(
  server: ServerContext,
  connectionId: string,
  query: string,
  principal: Principal,
): Promise<UpgradeDecision> {
  const record = await server.store.findConnection(principal.tenant, connectionId);
  if (record === null) return refused(problemResponse("connection_not_found"));
  const { deviceId, id } = record.environment;
  const claimedId = new URLSearchParams(query).get("deviceId") ?? deviceId;
  if (claimedId !== deviceId || !allowsDevice(principal, record.environment))
    return refused(problemResponse("connection_not_found"));
  if (record.keyId !== principal.keyId) return refused(problemResponse("device_owned_by_another_key"));
  const location = await server.router.locate(id);
  if (record.replaced || (location !== null && location.generation > record.generation)) {
    return refused(problemResponse("connection_replaced"));
  }
  const throttled = throttledResponse(server, { ...principal, ...record.environment });
  if (throttled !== null) return refused(throttled);
  const owner = ownerOf({ tenant: record.environment.tenant, keyId: record.keyId });
  await Promise.all([
    server.messages.readPolicies(id, record.environment.tenant),
    server.hasOtherServers ? server.approvals.refresh(id, owner) : null,
  ]);
  if (server.isClosing()) return refused(problemResponse("shutting_down"));
  return {
    kind: "accepted",
    owner: { tenant: record.environment.tenant, keyId: record.keyId },
    attach(socket) {
      const listener = server.hub.attach(record, principal, socket, location);
      server.removals.socketOpened(connectionId);
      return listener;
    },
  };
}
