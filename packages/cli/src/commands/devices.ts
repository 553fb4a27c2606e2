/** The commands `list` and `get`, which only read devices. The other commands are in the files beside this one. */
import type { ListEnvironmentsInput } from "@letta-environments/client";
import { findDevice } from "../device.ts";
import { exitCodes } from "../exit-code.ts";
import {
  formatEnvironmentDetails,
  formatEnvironmentLines,
  formatEnvironmentMembers,
  formatEnvironmentTable,
} from "../format/environment.ts";
import { collectEnvironments, refuseIgnoredTags } from "../operations.ts";
import { type CommandContext, printResult, readFilter, readLimit } from "../context.ts";

const defaultLimit = 50;

/** `letta-env list`. */
export async function listCommand(context: CommandContext): Promise<number> {
  const { host, isJson, paint } = context;
  const limit = readLimit(context, defaultLimit);
  const query: ListEnvironmentsInput = readFilter(context);
  const operations = await context.connect();
  const { connections, hasNextPage } = await collectEnvironments(operations, query, limit);
  refuseIgnoredTags(query, connections);
  const nowMs = operations.now();
  await printResult(context, {
    json: { connections, hasNextPage },
    people: () =>
      connections.length === 0
        ? "There are no devices.\n"
        : formatEnvironmentTable(connections, nowMs, host.stdout.columns(), paint),
    columns: () => formatEnvironmentLines(connections, nowMs),
  });
  if (hasNextPage && !isJson && host.stderr.isTerminal) {
    await host.stderr.write(`There are more devices than these ${connections.length}; --all shows every device.\n`);
  }
  return exitCodes.done;
}

/** `letta-env get DEVICE`. */
export async function getCommand(context: CommandContext): Promise<number> {
  const { host, parsed, paint } = context;
  const operations = await context.connect();
  const { environment } = await findDevice(operations, parsed.operands[0] ?? "", "any");
  const nowMs = operations.now();
  await printResult(context, {
    json: environment,
    people: () => formatEnvironmentDetails(environment, nowMs, host.stdout.columns(), paint),
    columns: () => formatEnvironmentMembers(environment, nowMs),
  });
  return exitCodes.done;
}
