import { type ExitCode, exitCodes } from "../exit-code.ts";
import { formatEnvironmentDetails, formatEnvironmentMembers } from "../format/format-environment.ts";
import { formatJson } from "../format/format-json.ts";
import { resolveDevice } from "../resolve-device.ts";
import type { CommandContext } from "./command-context.ts";

/** `letta-env get DEVICE`. */
export async function getCommand(context: CommandContext): Promise<ExitCode> {
  const { host, parsed, paint, isJson } = context;
  const operations = await context.connect();
  const { environment } = await resolveDevice(operations, parsed.operands[0] ?? "");
  const nowMs = operations.now();
  const plain = host.stdout.isTerminal
    ? () => formatEnvironmentDetails(environment, nowMs, paint)
    : () => formatEnvironmentMembers(environment, nowMs);
  await host.stdout.write(isJson ? formatJson(environment) : plain());
  return exitCodes.done;
}
