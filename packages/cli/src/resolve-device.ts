import {
  type DeviceSelector,
  type Environment,
  isLettaEnvironmentsError,
  type LettaEnvironmentsError,
} from "@letta-environments/client";
import { isIdentifier } from "@letta-environments/schema";
import { collectEnvironments } from "./collect-environments.ts";
import { CommandError, misuse } from "./command-error.ts";
import { suggestWord } from "./command-line/suggest-word.ts";
import type { EnvironmentOperations } from "./environment-operations.ts";
import { exitCodes } from "./exit-code.ts";
import { describePresence } from "./format/describe-environment.ts";
import { formatAge } from "./format/format-age.ts";

/** A device as it was found. */
export interface ResolvedDevice {
  readonly environment: Environment;
  /** How it can be looked up again. */
  readonly selector: DeviceSelector;
}

/**
 * Finds the device that is meant by a deviceId or, where no device has that id, by a name that just one device has. An id
 * comes first, so that nobody takes a device's place by taking its id for a name.
 */
export async function resolveDevice(
  operations: Pick<EnvironmentOperations, "list" | "retrieve" | "now">,
  text: string,
): Promise<ResolvedDevice> {
  if (text === "") throw misuse("DEVICE must not be empty");
  let refusal: LettaEnvironmentsError | null = null;
  if (isIdentifier(text)) {
    try {
      return { environment: await operations.retrieve(text), selector: { deviceId: text } };
    } catch (error) {
      // The name is looked for where the id is unknown, or where the key may not read single devices.
      if (!isLettaEnvironmentsError(error) || !(isUnknownDevice(error) || isRefused(error))) throw error;
      refusal = error;
    }
  }
  const { connections } = await collectEnvironments(operations, {}, null).catch((error: unknown) => {
    // A key that may read and not list knows devices by their ids alone.
    if (isRefused(error)) throw refusal ?? error;
    throw error;
  });
  const found = newestRows(connections.filter((row) => [row.deviceId, row.connectionName].includes(text)));
  const [environment, ...others] = found;
  if (environment === undefined) throw notFound(text, connections);
  if (others.length > 0) throw ambiguous(found, operations.now());
  const { deviceId } = environment;
  // A key that may list and not read sees a single device in the list alone.
  const isListed = refusal !== null && isRefused(refusal);
  return { environment, selector: isListed ? (row) => row.deviceId === deviceId : { deviceId } };
}

/** Of several rows of a device the live one with the latest heartbeat, as the API answers for its id. */
function newestRows(rows: readonly Environment[]): Environment[] {
  const newest = new Map<string, Environment>();
  for (const row of rows) {
    const other = newest.get(row.deviceId);
    if (other === undefined || freshness(row) > freshness(other)) newest.set(row.deviceId, row);
  }
  return [...newest.values()];
}

function freshness({ connectionId, lastHeartbeat, lastSeenAt }: Environment): number {
  return connectionId === null ? lastSeenAt - Number.MAX_SAFE_INTEGER : (lastHeartbeat ?? lastSeenAt);
}

function isUnknownDevice({ status, code }: LettaEnvironmentsError): boolean {
  return status === 404 && code !== "endpoint_not_found";
}

function isRefused(error: unknown): boolean {
  return isLettaEnvironmentsError(error) && error.status === 403;
}

function notFound(text: string, environments: readonly Environment[]): CommandError {
  const names = environments.flatMap(({ connectionName, deviceId }) => [connectionName, deviceId]);
  const suggestion = suggestWord(text, names);
  const hint = suggestion === null ? "" : `; did you mean ${suggestion}?`;
  return new CommandError(exitCodes.notFound, `there is no device with this id or name${hint}`);
}

function ambiguous(environments: readonly Environment[], nowMs: number): CommandError {
  const lines = environments.map((environment) => {
    const { text } = describePresence(environment, nowMs);
    return `  ${environment.deviceId}  ${text}, seen ${formatAge(environment.lastSeenAt, nowMs)}`;
  });
  return misuse(`${environments.length} devices have this name; use the deviceId of one of them:`, lines);
}
