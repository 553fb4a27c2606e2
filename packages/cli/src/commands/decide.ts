import type { ApprovalDecision } from "@letta-environments/client";
import { misuse } from "../command-error.ts";
import { deliver } from "../deliver.ts";
import { type ExitCode, exitCodes } from "../exit-code.ts";
import type { CommandContext } from "./command-context.ts";
import { readTarget } from "./read-target.ts";

/** `letta-env approve DEVICE` and `letta-env deny DEVICE`. */
export async function decideCommand(context: CommandContext, approve: boolean): Promise<ExitCode> {
  const { parsed, option } = context;
  const { target } = readTarget(context);
  const request = option("request");
  if (request === undefined) throw misuse(`'${parsed.command.name}' needs --request ID`);
  const reason = option("reason");
  const decision: ApprovalDecision = {
    type: "approval",
    approve,
    tool_call_id: request,
    ...(reason !== undefined && { reason }),
  };
  await deliver(context, await context.connect(), {
    target,
    message: { type: "approval", approvals: [decision] },
    waitMs: null,
    idempotencyKey: undefined,
  });
  return exitCodes.done;
}
