/** Changes of keys and devices by a command. Each is recorded in the audit log before it is made, or it is not made. */
import { CommandError } from "@letta-environments/command-line";
import { AuditUnavailableError } from "../../../audit/store.ts";
import type { Settings } from "../../../config/settings.ts";
import type { Pepper } from "../../../ports.ts";
import { type OpenAudit, openAudit } from "../audit.ts";
import { warn } from "./context.ts";

/**
 * Runs with the audit log open. `onFailure` is for a failure to write an entry of a change. If the change was made, it stays, and the user is warned.
 *
 * @throws CommandError if the log cannot be opened, or an entry before a change cannot be written
 */
export async function withAuditLog<Result>(
  settings: Pick<Settings, "dataDir">,
  pepper: Pepper,
  run: (audit: OpenAudit, onFailure: (cause: unknown, isMade?: boolean) => void) => Promise<Result>,
): Promise<Result> {
  const audit = await openAudit(settings, pepper);
  const onFailure = (cause: unknown, isMade = true): void => {
    if (isMade) warn(`the audit log cannot be written, and lacks the result of this change: ${String(cause)}`);
  };
  try {
    return await run(audit, onFailure);
  } catch (cause) {
    if (!(cause instanceof AuditUnavailableError)) throw cause;
    throw new CommandError(`${cause.message}, so nothing was changed: ${String(cause.cause)}`, 1, { cause });
  } finally {
    await audit.close().catch(onFailure);
  }
}
