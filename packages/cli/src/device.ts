/**
 * Finds the device that a user means. A deviceId comes first, so that no device can take another one's messages by using its id as a name.
 * A name counts if only one device has it, or, for sends, if only one of the devices with it is online.
 */
import {
  type DeviceSelector,
  type Environment,
  isLettaEnvironmentsError,
  isOnline,
  type LettaEnvironmentsError,
} from "@letta-environments/client";
import { CommandError, formatAge, misuse, suggestWord } from "@letta-environments/command-line";
import { isIdentifier } from "@letta-environments/schema";
import { exitCodes } from "./exit-code.ts";
import { describePresence } from "./format/environment.ts";
import { collectEnvironments, type EnvironmentOperations } from "./operations.ts";

/** A device that was found. */
export interface FoundDevice {
  readonly environment: Environment;
  /** How to look it up again. */
  readonly selector: DeviceSelector;
}

/**
 * Finds a device by its deviceId or its name. Rejects with a `CommandError` if none or more than one matches.
 *
 * @param preference `online`: among devices with the same name, the only one that is online; if all are offline, whichever comes online
 *   first
 * @param waits whether the caller would wait for an offline device, which the error for a device that is not listed then explains
 */
export async function findDevice(
  operations: Pick<EnvironmentOperations, "list" | "retrieve" | "now">,
  text: string,
  preference: "any" | "online",
  waits = false,
): Promise<FoundDevice> {
  if (text === "") throw misuse("DEVICE must not be empty");
  let refusal: LettaEnvironmentsError | null = null;
  if (isIdentifier(text)) {
    try {
      return { environment: await operations.retrieve(text), selector: { deviceId: text } };
    } catch (error) {
      // Names are searched if the id is unknown, or if the key must not read single devices.
      if (!isLettaEnvironmentsError(error) || !(isUnknownDevice(error) || isForbidden(error))) throw error;
      refusal = error;
    }
  }
  const { connections } = await collectEnvironments(operations, {}, null).catch((error: unknown) => {
    if (!isForbidden(error) || refusal === null) throw error;
    if (isForbidden(refusal)) throw refusal;
    // A key that can read but not list finds devices only by their ids.
    const text = "there is no device with this id; to find one by its name, the key needs the scope list";
    throw new CommandError(text, exitCodes.notFound, { cause: error });
  });
  const nowMs = operations.now();
  const fits = (row: Environment): boolean => row.deviceId === text || row.connectionName === text;
  const found = newestRows(connections.filter(fits));
  const online = preference === "online" ? found.filter((row) => isOnline(row, nowMs)) : found;
  const [environment = found[0], ...others] = online;
  if (environment === undefined) throw notFound(text, connections, nowMs, waits);
  if (others.length > 0) throw ambiguous(online, preference, nowMs);
  if (found.length > 1 && online.length === 0) return { environment, selector: fits };
  const { deviceId } = environment;
  // A key that can list but not read sees a single device only in the list.
  const isListed = refusal !== null && isForbidden(refusal);
  return { environment, selector: isListed ? (row) => row.deviceId === deviceId : { deviceId } };
}

/** The lines that list devices by their ids. */
export function deviceLines(environments: readonly Environment[], nowMs: number): string[] {
  return environments.map((environment) => {
    const { text } = describePresence(environment, nowMs);
    return `  ${environment.deviceId}  ${text}, seen ${formatAge(environment.lastSeenAt, nowMs)}`;
  });
}

/** One row of each device, the latest seen device first. As in the API, it is the connected row with the latest heartbeat. */
function newestRows(rows: readonly Environment[]): Environment[] {
  const newest = new Map<string, Environment>();
  for (const row of rows) {
    const other = newest.get(row.deviceId);
    if (other === undefined || freshness(row) > freshness(other)) newest.set(row.deviceId, row);
  }
  return Array.from(newest.values());
}

function freshness({ connectionId, lastHeartbeat, lastSeenAt }: Environment): number {
  return connectionId === null ? lastSeenAt - Number.MAX_SAFE_INTEGER : (lastHeartbeat ?? lastSeenAt);
}

function isUnknownDevice({ status, code }: LettaEnvironmentsError): boolean {
  return status === 404 && code !== "endpoint_not_found";
}

function isForbidden(error: unknown): boolean {
  return isLettaEnvironmentsError(error) && error.status === 403;
}

function notFound(text: string, environments: readonly Environment[], nowMs: number, waits: boolean): CommandError {
  const named = newestRows(environments.filter(({ displayName }) => displayName === text));
  if (named.length > 0) {
    const message = "a display name does not select a device; use the deviceId instead:";
    return new CommandError(message, exitCodes.notFound, { details: deviceLines(named, nowMs) });
  }
  const names = environments.flatMap(({ connectionName, deviceId }) => [connectionName, deviceId]);
  const suggestion = suggestWord(text, names);
  const hint = suggestion === null ? "" : `; did you mean ${suggestion}?`;
  return new CommandError(`there is no device with this id or name${hint}`, exitCodes.notFound, {
    details: waits ? ["--wait-online waits for a listed device only: one that has registered before."] : [],
  });
}

function ambiguous(environments: readonly Environment[], preference: "any" | "online", nowMs: number): CommandError {
  const devices = preference === "online" ? "online devices" : "devices";
  return misuse(
    `${environments.length} ${devices} have this name; use the deviceId of one of them:`,
    deviceLines(environments, nowMs),
  );
}
