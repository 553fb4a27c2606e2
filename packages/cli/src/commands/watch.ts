import { parseDuration } from "../command-line/parse-duration.ts";
import { type ExitCode, exitCodeOfSignal, exitCodes } from "../exit-code.ts";
import { formatEventForPeople, formatEventForPrograms } from "../format/format-event.ts";
import type { CommandContext } from "./command-context.ts";
import { readFilter } from "./read-filter.ts";

const defaultIntervalMs = 2_000;

/** `letta-env watch`: ends with a signal, when nobody reads any more, or with a failure that does not pass. */
export async function watchCommand(context: CommandContext): Promise<ExitCode> {
  const { host, option, paint, isJson } = context;
  const query = readFilter(option);
  const interval = option("interval");
  const intervalMs = interval === undefined ? defaultIntervalMs : parseDuration("--interval", interval);
  const operations = await context.connect();
  // A wrong address is no failure that passes, and shows at the first look.
  await operations.list({ ...query, limit: 1 });
  for await (const event of operations.watch(query, intervalMs)) {
    const nowMs = host.clock.now();
    const line =
      isJson || !host.stdout.isTerminal
        ? formatEventForPrograms(event, nowMs, isJson)
        : formatEventForPeople(event, nowMs, host.stdout.columns(), paint);
    if (!(await host.stdout.write(line))) return exitCodes.done;
  }
  return exitCodeOfSignal(host.interrupted.reason);
}
