import type { Environment, ListEnvironmentsInput } from "@letta-environments/client";
import { collectEnvironments } from "../collect-environments.ts";
import { misuse } from "../command-error.ts";
import { type ExitCode, exitCodes } from "../exit-code.ts";
import { formatEnvironmentLines } from "../format/format-environment-lines.ts";
import { formatEnvironmentTable } from "../format/format-environment-table.ts";
import { formatJson } from "../format/format-json.ts";
import type { CommandContext } from "./command-context.ts";
import { readFilter } from "./read-filter.ts";

const defaultLimit = 50;

/** `letta-env list`. */
export async function listCommand(context: CommandContext): Promise<ExitCode> {
  const { host, option } = context;
  const limit = readLimit(option("limit"), option("all") !== undefined);
  const query: ListEnvironmentsInput = readFilter(option);
  const operations = await context.connect();
  const { connections, hasNextPage } = await collectEnvironments(operations, query, limit);
  const nowMs = operations.now();
  const rows = (): string => formatRows(context, connections, nowMs);
  await host.stdout.write(context.isJson ? formatJson({ connections, hasNextPage }) : rows());
  if (hasNextPage && !context.isJson && host.stderr.isTerminal) {
    await host.stderr.write(`There are more than these ${connections.length}; --all shows every device.\n`);
  }
  return exitCodes.done;
}

function formatRows({ host, paint }: CommandContext, connections: readonly Environment[], nowMs: number): string {
  if (!host.stdout.isTerminal) return formatEnvironmentLines(connections, nowMs);
  if (connections.length === 0) return "There are no devices.\n";
  return formatEnvironmentTable(connections, nowMs, host.stdout.columns(), paint);
}

function readLimit(text: string | undefined, isAll: boolean): number | null {
  if (text === undefined) return isAll ? null : defaultLimit;
  if (isAll) throw misuse("--limit and --all exclude each other");
  if (!/^[1-9]\d{0,8}$/.test(text)) throw misuse("--limit must be a whole number from 1");
  return Number(text);
}
