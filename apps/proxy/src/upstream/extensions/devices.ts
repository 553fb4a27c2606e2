/**
 * Changes of devices behind a remote server. It knows nothing of gateway keys, so the device is looked up first: one that the principal
 * may not see is 404. The change is audited, sent once, and runs to completion even if its caller disconnects.
 */
import {
  allowsDevice,
  ChangeRefusedError,
  endpoints,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
  refused,
  type Refused,
  refuseEmptyPatch,
} from "@letta-environments/schema";
import { insufficientScope } from "../../auth/authentication.ts";
import { neverAborted } from "../../lib/deadline.ts";
import { maxPages, presentRow, readDevice, readEnvironmentPages, type UpstreamRow } from "../environments.ts";
import type { ExtensionCall, RemoteTools } from "../remote.ts";
import type { ReadRemote } from "../remote-call.ts";
import type { AuditDeviceChange } from "../upstream.ts";

type DeviceChange =
  | ({ readonly operation: "updateEnvironment" } & OperationInput<"updateEnvironment">)
  | ({ readonly operation: "removeEnvironment" } & OperationInput<"removeEnvironment">);

/** Returns the function that audits the changes of a request. */
export type AuditFor = (principal: Principal, requestId: string) => AuditDeviceChange;

/** Changes a device and returns the response for the caller. */
export async function changeRemoteDevice(
  { callRemote, auditFor }: Pick<RemoteTools, "callRemote"> & { readonly auditFor: AuditFor },
  input: DeviceChange,
  { call, request, readUntil }: ExtensionCall,
): Promise<PlainResponse> {
  const { principal, requestId, deadline } = call;
  // The gateway does not know which key owns a device of another server.
  if (!principal.scopes.has("admin")) return insufficientScope("admin");
  const empty = input.operation === "updateEnvironment" ? refuseEmptyPatch(input.body) : null;
  if (empty !== null) return empty;
  const found = await findRows(principal, input, readUntil(deadline));
  if (found.kind === "refused") return found.response;
  const { rows } = found;
  let response: PlainResponse = problemResponse("environment_not_found");
  try {
    await auditFor(principal, requestId)(describe(principal, input), async () => {
      const endpoint = endpoints[input.operation];
      const exchange = await callRemote(endpoint, request, { atMs: deadline.atMs, signal: neverAborted });
      const { end } = exchange;
      // The change may have taken away the tag by which the principal reached the device.
      const permitted = { ...principal, deviceTags: null };
      response = exchange.response;
      if (response.status < 400) response = presentRow(permitted, input.params.deviceId, response);
      if (response.status === endpoint.successStatus) {
        return rows.map(({ connectionName }) => ({ connectionName, ownerKeyId: null }));
      }
      const isUnknown = end === null || ("reason" in end ? end.reason !== "unreachable" : mayHaveActed(end.status));
      return isUnknown ? "unknown" : null;
    });
  } catch (cause) {
    if (cause instanceof ChangeRefusedError) return cause.response;
    throw cause;
  }
  return response;
}

/** Whether a server that responds with this status may have made the change. */
function mayHaveActed(status: number): boolean {
  return status < 300 || (status >= 500 && status !== 501);
}

function describe({ tenant }: Principal, input: DeviceChange) {
  const { deviceId } = input.params;
  if (input.operation === "updateEnvironment") {
    const { displayName, tags } = input.body;
    const labels = { ...(displayName !== undefined && { displayName }), ...(tags !== undefined && { tags }) };
    return { act: "labelled", tenant, deviceId, labels } as const;
  }
  const { id } = input.query;
  return { act: "removed", tenant, deviceId, ...(id !== undefined && { environmentId: id }) } as const;
}

type FoundRows = { readonly kind: "found"; readonly rows: readonly UpstreamRow[] } | Refused;

/**
 * Finds the rows that a change is about, if the principal may change all of them. A read shows one row of a device; where names decide
 * or one row is named, the others are only in the list.
 */
async function findRows(principal: Principal, input: DeviceChange, read: ReadRemote): Promise<FoundRows> {
  const { deviceId } = input.params;
  const id = input.operation === "removeEnvironment" ? input.query.id : undefined;
  const device = await readDevice(deviceId, read);
  if (device.kind === "refused") return device;
  if (device.row === null) return notFound;
  const rows: UpstreamRow[] = [device.row];
  if (id !== undefined || dependsOnNames(principal)) {
    for await (const page of readEnvironmentPages(read, "", maxPages)) {
      if (page.kind === "refused") return page;
      rows.push(...page.rows.filter((row) => row.deviceId === deviceId && row.id !== device.row?.id));
    }
  }
  const selected = rows.filter((row) => id === undefined || row.id === id);
  const allowed = selected.filter((row) => allowsDevice(principal, row));
  if (allowed.length === 0) return notFound;
  return allowed.length === selected.length ? { kind: "found", rows: selected } : notAllowed;
}

function dependsOnNames({ connectionNames, tenantDevices = null }: Principal): boolean {
  return connectionNames !== null || (tenantDevices?.connectionNames ?? null) !== null;
}

const notFound: FoundRows = refused(problemResponse("environment_not_found"));
const notAllowed: FoundRows = refused(
  problemResponse("grant_not_allowed", {
    issues: [{ member: "connectionNames", rule: "must allow every name that the device has" }],
  }),
);
