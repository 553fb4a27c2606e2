import { type Environment, isLettaEnvironmentsError, isOnline } from "@letta-environments/client";
import { CommandError } from "./command-error.ts";
import type { EnvironmentOperations } from "./environment-operations.ts";
import { exitCodes } from "./exit-code.ts";
import { formatAge } from "./format/format-age.ts";
import type { Host } from "./host.ts";
import { sleep } from "./sleep.ts";
import { startProgress } from "./start-progress.ts";

const pollMs = 2_000;

/** Resolves with the device once it is online. Rejects when it is not, after `waitMs` (`null`: at once). */
export async function waitUntilOnline(
  host: Host,
  operations: Pick<EnvironmentOperations, "retrieve">,
  environment: Environment,
  waitMs: number | null,
): Promise<Environment> {
  const { clock } = host;
  const deadlineMs = clock.now() + (waitMs ?? 0);
  if (isOnline(environment, clock.now())) return environment;
  const stop = startProgress(host, () => {
    const leftS = Math.max(0, Math.round((deadlineMs - clock.now()) / 1_000));
    return `waiting for ${environment.connectionName} to come online… ${leftS}s left`;
  });
  try {
    let latest = environment;
    while (clock.now() < deadlineMs) {
      await sleep(host, Math.min(pollMs, deadlineMs - clock.now()));
      latest = await operations.retrieve(environment.deviceId).catch((error: unknown) => {
        // A server that restarts is no reason to give up a device that is waited for.
        if (isLettaEnvironmentsError(error) && error.retryable) return latest;
        throw error;
      });
      if (isOnline(latest, clock.now())) return latest;
    }
  } finally {
    await stop();
  }
  const { connectionName, lastSeenAt } = environment;
  const seen = formatAge(lastSeenAt, clock.now());
  const waited = waitMs === null ? "" : " and did not come back in time";
  throw new CommandError(
    exitCodes.offline,
    `${connectionName} is offline${waited} (last seen ${seen}); nothing was sent`,
    waitMs === null ? ["--wait-online waits for it."] : [],
  );
}
