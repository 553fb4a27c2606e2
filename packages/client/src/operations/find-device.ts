import type { Environment } from "@letta-environments/schema";
import { isOnline } from "@letta-environments/schema/presence";
import { type ErrorDetails, LettaEnvironmentsError } from "../error.ts";
import { isRecord } from "../is-record.ts";
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
  /** Where to send; `null` while the device is offline. */
  readonly connectionId: string | null;
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
  if (typeof device !== "function" && !isName(device)) {
    const deviceId = isRecord(device) ? device.deviceId : device;
    const { data, response } = await retrieveEnvironment(transport, deviceId, options).withResponse();
    return describe(data, serverTimeMs(transport.clock, response));
  }
  const fits =
    typeof device === "function" ? device : ({ connectionName }: Environment) => connectionName === device.name;
  const found: FoundDevice[] = [];
  for await (const { data, nowMs } of readPages(transport, { limit: 100 }, options)) {
    found.push(...data.connections.filter((row) => fits(row)).map((row) => describe(row, nowMs)));
  }
  found.sort((left, right) => heartbeatOf(right) - heartbeatOf(left));
  const online = found.filter(({ connectionId }) => connectionId !== null);
  const [best] = online.length > 0 ? online : found;
  const environments = online.map(({ environment }) => environment);
  if (best === undefined) throw deviceError("environment_not_found", "No environment fits; nothing was sent.", []);
  if (environments.some(({ deviceId }) => deviceId !== best.environment.deviceId))
    throw deviceError("ambiguous_device", "Several devices fit; nothing was sent.", environments);
  return best;
}

/** An error about devices that the client finds before anything is sent. */
export function deviceError(
  code: "environment_not_found" | "ambiguous_device" | "device_offline",
  message: string,
  environments: readonly Environment[],
): LettaEnvironmentsError {
  const details: ErrorDetails = { code, message, environments };
  return new LettaEnvironmentsError(details);
}

function isName(device: unknown): device is { readonly name: string } {
  return isRecord(device) && typeof device["name"] === "string";
}

function describe(environment: Environment, nowMs: number): FoundDevice {
  return { environment, connectionId: isOnline(environment, nowMs) ? environment.connectionId : null };
}

function heartbeatOf({ environment }: FoundDevice): number {
  return environment.lastHeartbeat ?? environment.lastSeenAt;
}
