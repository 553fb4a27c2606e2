/**
 * The administration of devices: which rows an authority may see, and whether it may release or remove a device. An administering
 * key sees the devices of its tenant that its own restrictions, and those of its tenant, allow; the operator sees every device.
 * Decisions on changes run inside the store's transaction, on the rows that are changed.
 */
import { type Clock, sleep } from "@letta-environments/platform";
import type { AdministeredDevice, DeviceAdministration, DeviceRow } from "@letta-environments/environment-server";
import {
  allowsDevice,
  type DeviceAllowlist,
  devicesPerTurn,
  jsonResponse,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import type { DevicesFor } from "../ports.ts";
import { actorOf, type AdminAuthority, mayKnowKey, tenantOf } from "./admission.ts";

/** A row of a device as its administration shows it. A device has one row for each of its listeners, usually one. Times are epoch milliseconds. */
export interface ShownDevice {
  /** Id of the row. */
  readonly id: string;
  readonly deviceId: string;
  readonly tenant: string;
  readonly connectionName: string;
  /** `null`: none. */
  readonly displayName: string | null;
  readonly tags: readonly string[];
  readonly listenerInstanceId: string;
  /** The key that owns the device; `null` when it is shared, or released. */
  readonly ownerKeyId: string | null;
  readonly shared: boolean;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
  /** `null` when it is not known: a command sees what is stored, not the sockets of a running gateway. */
  readonly online: boolean | null;
  /** `null` while the device is offline. */
  readonly connectionId: string | null;
}

/** Returns the view of a row. It copies members one by one, so that members added to rows later are not shown by mistake. */
export function showDevice(row: AdministeredDevice, knowsPresence: boolean = true): ShownDevice {
  return {
    id: row.id,
    deviceId: row.deviceId,
    tenant: row.tenant,
    connectionName: row.connectionName,
    displayName: row.displayName,
    tags: row.tags,
    listenerInstanceId: row.listenerInstanceId,
    ownerKeyId: row.ownerKeyId,
    shared: row.shared,
    firstSeenAt: row.firstSeenAt,
    lastSeenAt: row.lastSeenAt,
    online: knowsPresence ? row.connectionId !== null : null,
    connectionId: row.connectionId,
  };
}

/** The query of a list of devices. */
export interface ListDevicesQuery {
  readonly limit: number;
  /** Id of the last item of the previous page. */
  readonly after?: string;
  readonly tenant?: string;
}

/** The device of a request. */
export interface DeviceTarget {
  readonly deviceId: string;
  /** Absent: the tenant of the administering key, or `default` for the operator. */
  readonly tenant?: string;
}

/** An authority, and the devices to which the configuration restricts the tenant of an administering key. */
export interface DeviceAuthority {
  readonly authority: AdminAuthority;
  readonly tenantDevices: DeviceAllowlist | null;
}

/** The operations of the administration on devices. */
export interface DeviceOperations {
  list(actor: DeviceAuthority, query: ListDevicesQuery): Promise<PlainResponse>;
  retrieve(actor: DeviceAuthority, target: DeviceTarget): Promise<PlainResponse>;
  release(actor: DeviceAuthority, target: DeviceTarget): Promise<PlainResponse>;
  remove(actor: DeviceAuthority, target: DeviceTarget): Promise<PlainResponse>;
}

/** Creates {@link DeviceOperations} over the embedded environment server. */
export function createDeviceOperations(devicesFor: DevicesFor, clock: Clock): DeviceOperations {
  const devicesOf = ({ authority }: DeviceAuthority): DeviceAdministration => devicesFor(actorOf(authority));

  async function find(actor: DeviceAuthority, { deviceId, tenant = tenantOf(actor.authority) }: DeviceTarget) {
    const rows = await devicesOf(actor).list({ tenant, deviceId, afterId: null, limit: null });
    return rows.filter((row) => mayKnowDevice(actor, row));
  }

  async function retrieve(actor: DeviceAuthority, target: DeviceTarget): Promise<PlainResponse> {
    const rows = await find(actor, target);
    return rows.length === 0 ? notFound : jsonResponse(200, { devices: rows.map((row) => showDevice(row)) });
  }

  /** Changes a device. Returns a refusal unless the authority may see every row of the device. */
  async function change(
    actor: DeviceAuthority,
    target: DeviceTarget,
    operation: "release" | "remove",
  ): Promise<PlainResponse | null> {
    if ((await find(actor, target)).length === 0) return notFound;
    const { deviceId, tenant = tenantOf(actor.authority) } = target;
    let isRefused = false;
    const changed = await devicesOf(actor)[operation](tenant, deviceId, (rows) => {
      isRefused = !rows.every((row) => mayKnowDevice(actor, row));
      return !isRefused;
    });
    if (changed !== null) return null;
    return isRefused ? notAllowed : notFound;
  }

  return {
    async list(actor, query) {
      const { limit } = query;
      const rows = await readPage(clock, actor, devicesOf(actor), { ...query, limit: limit + 1 });
      const devices = rows.slice(0, limit).map((row) => showDevice(row));
      return jsonResponse(200, { devices, hasNextPage: rows.length > limit });
    },
    retrieve,
    async release(actor, target) {
      const known = await find(actor, target);
      // A repeat changes nothing and is not audited.
      if (known.every(({ ownerKeyId }) => ownerKeyId === null)) return retrieve(actor, target);
      return (await change(actor, target, "release")) ?? retrieve(actor, target);
    },
    remove: async (actor, target) => (await change(actor, target, "remove")) ?? removed,
  };
}

/** Whether an authority may know that a row exists. */
function mayKnowDevice({ authority, tenantDevices }: DeviceAuthority, row: DeviceRow): boolean {
  if (!mayKnowKey(authority, row)) return false;
  return authority.kind === "operator" || allowsDevice({ ...authority.record, tenantDevices }, row);
}

/** Reads up to the requested number of rows that the authority may see. Yields to other work between the parts that it reads. */
async function readPage(
  clock: Clock,
  actor: DeviceAuthority,
  devices: DeviceAdministration,
  { limit, after, tenant }: ListDevicesQuery,
) {
  const { authority, tenantDevices } = actor;
  const ownTenant = authority.kind === "operator" ? null : authority.record.tenant;
  if (ownTenant !== null && tenant !== undefined && tenant !== ownTenant) return [];
  const found: AdministeredDevice[] = [];
  const patterns = authority.kind === "operator" ? null : authority.record.connectionNames;
  const rowsPerTurn = devicesPerTurn({ connectionNames: patterns, tenantDevices });
  let afterId = after ?? null;
  // Usually every row is shown, so the first part is as long as the page.
  for (let size = Math.min(limit, rowsPerTurn); ; size = rowsPerTurn) {
    const filter = { tenant: ownTenant ?? tenant ?? null, deviceId: null, afterId, limit: size };
    const rows = await devices.list(filter);
    found.push(...rows.filter((row) => mayKnowDevice(actor, row)));
    const last = rows.at(-1);
    if (found.length >= limit || last === undefined || rows.length < size) return found.slice(0, limit);
    afterId = last.id;
    await sleep(clock, 0);
  }
}

const notFound: PlainResponse = problemResponse("environment_not_found");
const removed: PlainResponse = { status: 204, headers: {}, body: null };
const notAllowed: PlainResponse = problemResponse("grant_not_allowed", {
  issues: [{ member: "connectionNames", rule: "must allow every name that the device has" }],
});
