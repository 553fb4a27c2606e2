import { type Environment, isLettaEnvironmentsError, type LettaEnvironmentsError } from "@letta-environments/client";
import { isIdentifier } from "@letta-environments/schema";
import { collectEnvironments } from "./collect-environments.ts";
import { CommandError, misuse } from "./command-error.ts";
import { suggestWord } from "./command-line/suggest-word.ts";
import type { EnvironmentOperations } from "./environment-operations.ts";
import { exitCodes } from "./exit-code.ts";
import { describePresence } from "./format/describe-environment.ts";
import { formatAge } from "./format/format-age.ts";

/**
 * Finds the device that is meant by a deviceId or, where no device has that id, by a name that just one device has. An id
 * comes first, so that nobody takes a device's place by taking its id for a name.
 */
export async function resolveDevice(
  operations: Pick<EnvironmentOperations, "list" | "retrieve">,
  text: string,
  nowMs: number,
): Promise<Environment> {
  if (text === "") throw misuse("DEVICE must not be empty");
  let refusal: LettaEnvironmentsError | null = null;
  if (isIdentifier(text)) {
    try {
      return await operations.retrieve(text);
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
  const [found, ...others] = connections.filter(({ deviceId, connectionName }) =>
    [deviceId, connectionName].includes(text),
  );
  if (found === undefined) throw notFound(text, connections);
  if (others.length > 0) throw ambiguous([found, ...others], nowMs);
  return found;
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
