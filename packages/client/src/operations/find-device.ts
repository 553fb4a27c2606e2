/** Finds the device that a selector means: one that is online. */
import type { Environment } from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import { isIdentifier } from "@letta-environments/schema/identifier";
import { isOnline } from "@letta-environments/schema/presence";
import { check, checkFlag, checkText } from "../check.ts";
import { createError } from "../error.ts";
import type { RequestOptions } from "../options.ts";
import { serverTimeMs } from "../response.ts";
import type { Transport } from "../transport.ts";
import { retrieveEnvironment } from "./environment.ts";
import { readPages } from "./list.ts";

/**
 * Selects a device: by `deviceId` (which may be a plain string), by the name under which it registered (`connectionName`, not `displayName`), or by
 * any rule.
 */
export type DeviceSelector =
  | string
  | { readonly deviceId: string }
  // `length?: never` excludes functions, which also have a `name`. Without it, an async callback would be accepted as `{ name }`.
  | { readonly name: string; readonly length?: never }
  | ((environment: Environment) => boolean);

/** A device that is online. */
export interface FoundDevice extends Environment {
  readonly connectionId: string;
}

/**
 * Finds one online device. If it has several rows, the one with the latest heartbeat counts.
 *
 * Rejects with `environment_not_found`, `device_offline`, or `ambiguous_device` if several devices that match are online.
 */
export async function findDevice(
  transport: Transport,
  device: DeviceSelector,
  options: RequestOptions,
): Promise<FoundDevice> {
  const { rows, nowMs } = await findRows(transport, device, options);
  const online = rows
    .sort((left, right) => (right.lastHeartbeat ?? 0) - (left.lastHeartbeat ?? 0))
    .filter((row): row is FoundDevice => isOnline(row, nowMs));
  const [row] = rows;
  const [found] = online;
  if (!row)
    throw createError("environment_not_found", {
      message: `no device ${describeSelector(device)}`,
      environments: rows,
    });
  if (!found)
    throw createError("device_offline", {
      message: `device ${JSON.stringify(row.connectionName)} (${row.deviceId}) is offline; nothing was sent`,
      retryable: true,
      environments: rows,
    });
  if (online.some(({ deviceId }) => deviceId !== found.deviceId))
    throw createError("ambiguous_device", {
      message: `several online devices ${describeSelector(device)}; select one by its deviceId`,
      environments: online,
    });
  // Checked here because the row comes from a response: as an argument of a request, a bad id would look like a mistake of the caller.
  if (!isIdentifier(found.connectionId))
    throw createError("invalid_response", { message: "invalid response: connectionId", status: 200 });
  return found;
}

/** All rows that a selector matches, with the server's time at which they were read. */
async function findRows(
  transport: Transport,
  device: DeviceSelector,
  options: RequestOptions,
): Promise<{ readonly rows: Environment[]; readonly nowMs: number }> {
  const matches = readRule(device);
  if (isText(matches)) {
    const { data, response } = await retrieveEnvironment(transport, matches, options).withResponse();
    return { rows: [data], nowMs: serverTimeMs(response) };
  }
  const rows: Environment[] = [];
  let nowMs = 0;
  for await (const { data, response } of readPages(transport, {}, options)) {
    rows.push(
      ...data.connections.filter((row) => {
        // `undefined`, as from an optional chain, means no match. A promise would be truthy for every row, so it is an error.
        const isMatch: boolean | undefined = matches(row);
        checkFlag("device(environment)", isMatch ?? false);
        return isMatch;
      }),
    );
    nowMs = serverTimeMs(response);
  }
  return { rows, nowMs };
}

/** Reads a selector as the `deviceId` that it names, or else as a rule for rows of the list. */
function readRule(device: DeviceSelector): string | ((environment: Environment) => boolean) {
  if (isText(device) || typeof device === "function") return device;
  const { deviceId, name }: { deviceId?: string; name?: string } = Object(device);
  const rule = "must be a deviceId, { deviceId }, { name } or a function";
  check("device", isText(deviceId) || (deviceId === undefined && name !== undefined), rule);
  if (deviceId !== undefined) return deviceId;
  checkText("device.name", name);
  return (environment) => environment.connectionName === name;
}

function describeSelector(device: DeviceSelector): string {
  return typeof device === "function" ? "matches the rule" : `matches ${JSON.stringify(device)}`;
}
