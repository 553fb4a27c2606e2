import { isLettaEnvironmentsError } from "@letta-environments/client";
import { collectEnvironments } from "../collect-environments.ts";
import { parseDuration } from "../command-line/parse-duration.ts";
import { compareEnvironments, lookAt } from "../compare-environments.ts";
import { type ExitCode, exitCodes } from "../exit-code.ts";
import { formatEventForPeople, formatEventForPrograms } from "../format/format-event.ts";
import { sleep } from "../sleep.ts";
import type { CommandContext } from "./command-context.ts";
import { readFilter } from "./read-filter.ts";

const defaultIntervalMs = 2_000;
const maxIntervalMs = 60_000;

/** `letta-env watch`: ends with a signal, when nobody reads any more, or with a failure that does not pass. */
export async function watchCommand(context: CommandContext): Promise<ExitCode> {
  const { host, option, paint, isJson } = context;
  const query = readFilter(option);
  const interval = option("interval");
  const intervalMs = interval === undefined ? defaultIntervalMs : parseDuration("--interval", interval);
  const operations = await context.connect();
  let seen = lookAt([], 0);
  let delayMs = intervalMs;
  for (let hasLooked = false; ;) {
    try {
      const { connections } = await collectEnvironments(operations, query, null);
      const nowMs = host.clock.now();
      const now = lookAt(connections, nowMs);
      const lines = compareEnvironments(seen, now).map((event) =>
        isJson || !host.stdout.isTerminal
          ? formatEventForPrograms(event, nowMs, isJson)
          : formatEventForPeople(event, nowMs, host.stdout.columns(), paint),
      );
      if (lines.length > 0 && !(await host.stdout.write(lines.join("")))) return exitCodes.done;
      seen = now;
      delayMs = intervalMs;
      hasLooked = true;
    } catch (error) {
      // A wrong address or key shows at the first look; a server that restarts later is waited for.
      if (!hasLooked || !isLettaEnvironmentsError(error) || !error.retryable) throw error;
      delayMs = Math.max(error.retryAfterMs ?? 0, Math.min(maxIntervalMs, delayMs * 2));
    }
    await sleep(host, delayMs);
  }
}
