/** The commands `list` and `get`, which only read devices. The other commands are in the files beside this one. */
import type { Environment, ListEnvironmentsInput } from "@letta-environments/client";
import { formatJson } from "@letta-environments/command-line";
import { findDevice } from "../device.ts";
import { exitCodes } from "../exit-code.ts";
import {
  formatEnvironmentDetails,
  formatEnvironmentLines,
  formatEnvironmentMembers,
  formatEnvironmentTable,
} from "../format/environment.ts";
import { collectEnvironments, refuseIgnoredTags } from "../operations.ts";
import { type CommandContext, readFilter, readLimit } from "../context.ts";

const defaultLimit = 50;

/** `letta-env list`. */
export async function listCommand(context: CommandContext): Promise<number> {
  const { host } = context;
  const limit = readLimit(context, defaultLimit);
  const query: ListEnvironmentsInput = readFilter(context);
  const operations = await context.connect();
  const { connections, hasNextPage } = await collectEnvironments(operations, query, limit);
  refuseIgnoredTags(query, connections);
  const nowMs = operations.now();
  const rows = (): string => formatRows(context, connections, nowMs);
  await host.stdout.write(context.isJson ? formatJson({ connections, hasNextPage }) : rows());
  if (hasNextPage && !context.isJson && host.stderr.isTerminal) {
    await host.stderr.write(`There are more devices than these ${connections.length}; --all shows every device.\n`);
  }
  return exitCodes.done;
}

/** `letta-env get DEVICE`. */
export async function getCommand(context: CommandContext): Promise<number> {
  const { host, parsed, paint, isJson } = context;
  const operations = await context.connect();
  const { environment } = await findDevice(operations, parsed.operands[0] ?? "", "any");
  const nowMs = operations.now();
  const plain = host.stdout.isTerminal
    ? () => formatEnvironmentDetails(environment, nowMs, host.stdout.columns(), paint)
    : () => formatEnvironmentMembers(environment, nowMs);
  await host.stdout.write(isJson ? formatJson(environment) : plain());
  return exitCodes.done;
}

function formatRows({ host, paint }: CommandContext, connections: readonly Environment[], nowMs: number): string {
  if (!host.stdout.isTerminal) return formatEnvironmentLines(connections, nowMs);
  if (connections.length === 0) return "There are no devices.\n";
  return formatEnvironmentTable(connections, nowMs, host.stdout.columns(), paint);
}
