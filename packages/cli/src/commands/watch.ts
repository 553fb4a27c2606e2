import { exitCodeOfSignal, exitCodes } from "../exit-code.ts";
import { formatEventForPeople, formatEventForPrograms } from "../format/event.ts";
import { refuseIgnoredTags } from "../operations.ts";
import { readDuration } from "../settings.ts";
import { type CommandContext, readFilter } from "../context.ts";

const defaultIntervalMs = 2_000;

/** `letta-env watch`: ends on a signal, when its reader goes away, or with a permanent failure. */
export async function watchCommand(context: CommandContext): Promise<number> {
  const { host, option, paint, isJson } = context;
  const query = readFilter(context);
  const interval = option("interval");
  const intervalMs = interval === undefined ? defaultIntervalMs : readDuration("--interval", interval);
  const operations = await context.connect();
  // A wrong address fails here, before failures count as temporary.
  refuseIgnoredTags(query, (await operations.list({ ...query, limit: 1 })).connections);
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
