import type { Environment } from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import { isOnline } from "@letta-environments/schema/presence";
import { callError } from "../call-error.ts";
import { serverTimeMs } from "../server-time.ts";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import { readPages } from "./read-pages.ts";
import { retrieveEnvironment } from "./retrieve-environment.ts";

/** Which device is meant: by `deviceId` (also as a plain string), by the name people gave it, or by any rule. */
export type DeviceSelector =
  | string
  | { readonly deviceId: string }
  | { readonly name: string }
  | ((environment: Environment) => boolean);

/** A device that is online, and where to send to it. */
export interface FoundDevice extends Environment {
  readonly connectionId: string;
}

/**
 * Finds one device. Of several rows of a device the one with the latest heartbeat counts; a name or a rule that fits several
 * devices means the one that is online.
 *
 * Rejects with a `LettaEnvironmentsError`: `environment_not_found`, `device_offline`, or `ambiguous_device` when several are online.
 */
export const findDevice = async (
  transport: Transport,
  device: DeviceSelector,
  options?: RequestOptions,
): Promise<FoundDevice> => {
  const rows: Environment[] = [];
  let nowMs = 0;
  // Whatever it is: what is neither a name nor a rule nor an id is refused as an id.
  const { name, deviceId = device }: Partial<Record<string, unknown>> = Object(device);
  const fits =
    typeof device === "function" ? device : isText(name) && ((row: Environment) => row.connectionName === name);
  if (fits)
    for await (const { data, response } of readPages(transport, {}, options)) {
      rows.push(...data.connections.filter((row) => fits(row)));
      nowMs = serverTimeMs(response);
    }
  else {
    const { data, response } = await retrieveEnvironment(transport, deviceId as string, options).withResponse();
    rows.push(data);
    nowMs = serverTimeMs(response);
  }
  const online = rows
    .sort((left, right) => (right.lastHeartbeat ?? 0) - (left.lastHeartbeat ?? 0))
    .filter((row): row is FoundDevice => isOnline(row, nowMs));
  const [environment] = online;
  if (!environment)
    throw callError(rows[0] ? "device_offline" : "environment_not_found", {
      retryable: rows.length > 0,
      environments: rows,
    });
  if (online.some((row) => row.deviceId !== environment.deviceId))
    throw callError("ambiguous_device", { environments: online });
  return environment;
};
