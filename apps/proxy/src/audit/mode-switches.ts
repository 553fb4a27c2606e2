/** Audit entries of switches to the mode that a key sets before its messages. The send that caused one is recorded before it. */
import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { AuditLog } from "./log.ts";

type Switched = Extract<EnvironmentServerEvent, { readonly type: "mode_switched" }>;

/** Records a switch. It never rejects: `onFailure` receives a failure. */
export async function auditModeSwitch(
  log: Pick<AuditLog, "append">,
  { agentId, environmentId: _environmentId, ...facts }: Switched,
  onFailure: (cause: unknown) => void,
): Promise<void> {
  try {
    await log.append({ ...facts, agentId: agentId || null });
  } catch (cause) {
    onFailure(cause);
  }
}
