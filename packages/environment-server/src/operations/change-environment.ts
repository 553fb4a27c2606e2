/** Changes the labels of a device, and removes a device or one of its rows, for callers of the API. */
import {
  allowsDevice,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
  refuseEmptyPatch,
} from "@letta-environments/schema";
import type { DeviceRow, PermitsChange } from "../ports.ts";
import type { RequestContext, ServerContext } from "./context.ts";

/**
 * Changes the display name and the tags of a device, and returns it.
 *
 * Refusals: 404 `environment_not_found`, including for a device out of reach; 403 `grant_not_allowed` if the principal may see only
 * some of its rows; 400 `invalid_request` for a body without a change.
 */
export async function updateEnvironment(
  server: ServerContext,
  { params: { deviceId }, body }: OperationInput<"updateEnvironment">,
  principal: Principal,
  { devices = server.devices }: RequestContext,
): Promise<PlainResponse> {
  const refusal =
    refuseEmptyPatch(body) ??
    (await change(server, principal, deviceId, null, (permits) =>
      devices.label(principal.tenant, deviceId, body, permits),
    ));
  if (refusal !== null) return refusal;
  // The change may have taken away the tag by which the principal reached the device.
  const changed = await server.presentation.mostRecentlySeen(
    await server.store.findEnvironments(principal.tenant, deviceId),
  );
  return changed === undefined ? notFound : server.presentation.one(principal, changed);
}

/**
 * Removes a device with all its rows, or one row. The scope `admin` permits it for every device within reach, and the scope `connect`
 * for the devices that the key owns.
 *
 * Refusals: like {@link updateEnvironment}, including for a row that the device does not have.
 */
export async function removeEnvironment(
  server: ServerContext,
  { params: { deviceId }, query }: OperationInput<"removeEnvironment">,
  principal: Principal,
  { devices = server.devices }: RequestContext,
): Promise<PlainResponse> {
  const id = query.id ?? null;
  const refusal = await change(server, principal, deviceId, id, (permits) =>
    devices.remove(principal.tenant, deviceId, permits, id),
  );
  return refusal ?? removed;
}

/** Makes a change that the principal may make; `null` when it is made, else the response. */
async function change(
  { store }: ServerContext,
  principal: Principal,
  deviceId: string,
  environmentId: string | null,
  run: (permits: PermitsChange) => Promise<readonly DeviceRow[] | null>,
): Promise<PlainResponse | null> {
  const { tenant } = principal;
  const known = await store.listDevices({ tenant, deviceId, afterId: null, limit: null });
  // Looked up first, so that an audit log has no entry for a device that the caller must not see.
  const selected = known.filter(({ id }) => environmentId === null || id === environmentId);
  if (!selected.some((row) => mayManage(principal, row))) return notFound;
  let refusal: PlainResponse = notFound;
  const changed = await run((rows) => {
    const managed = rows.filter((row) => mayManage(principal, row));
    if (managed.length > 0 && managed.length < rows.length) refusal = notAllowed;
    return managed.length === rows.length;
  });
  return changed === null ? refusal : null;
}

function mayManage(principal: Principal, row: DeviceRow): boolean {
  const { scopes, keyId } = principal;
  if (!allowsDevice(principal, row)) return false;
  return scopes.has("admin") || (scopes.has("connect") && row.ownerKeyId === keyId);
}

const removed: PlainResponse = { status: 204, headers: { "cache-control": "private, no-store" }, body: null };
const notFound: PlainResponse = problemResponse("environment_not_found");
const notAllowed: PlainResponse = problemResponse("grant_not_allowed", {
  issues: [{ member: "connectionNames", rule: "must allow every name that the device has" }],
});
