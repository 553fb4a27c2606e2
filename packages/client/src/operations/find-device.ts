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

/** A device as it is now. */
export interface FoundDevice {
  readonly environment: Environment;
  /** Where to send; absent while the device is offline. */
  readonly connectionId?: string | null | undefined;
}

/**
 * Finds one device. Of several rows of a device the one with the latest heartbeat counts; a name or a rule that fits several
 * devices means the one that is online.
 *
 * Rejects with a `LettaEnvironmentsError`: `environment_not_found`, or `ambiguous_device` when several are online.
 */
export async function findDevice(
  transport: Transport,
  device: DeviceSelector,
  options?: RequestOptions,
): Promise<FoundDevice> {
  const rows: Environment[] = [];
  let nowMs = 0;
  const fits = ruleOf(device);
  if (fits) {
    for await (const { data, response } of readPages(transport, { limit: 100 }, options)) {
      rows.push(...data.connections.filter((row) => fits(row)));
      nowMs = serverTimeMs(transport.clock, response);
    }
  } else {
    // Whatever it is: what is no id is refused there.
    const { deviceId = device }: Partial<Record<string, unknown>> = Object(device);
    const { data, response } = await retrieveEnvironment(transport, deviceId as string, options).withResponse();
    rows.push(data);
    nowMs = serverTimeMs(transport.clock, response);
  }
  rows.sort((left, right) => Number(right.lastHeartbeat) - Number(left.lastHeartbeat));
  const online = rows.filter((row) => isOnline(row, nowMs));
  const [environment = rows[0]] = online;
  if (!environment) throw callError("once", "environment_not_found");
  if (online.some(({ deviceId }) => deviceId !== environment.deviceId))
    throw callError("once", "ambiguous_device", { environments: online });
  return { environment, connectionId: online[0]?.connectionId };
}

/** The rule by which rows are chosen from the list; a device that is named by its id is read alone. */
function ruleOf(device: DeviceSelector): ((environment: Environment) => boolean) | null {
  if (typeof device === "function") return device as (environment: Environment) => boolean;
  const { name }: Partial<Record<string, unknown>> = Object(device);
  return isText(name) ? ({ connectionName }) => connectionName === name : null;
}
