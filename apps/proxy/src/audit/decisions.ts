/**
 * Audit entries of what the embedded server has sent to a device for a key or a policy: decisions on requests for permission, and switches to
 * the mode that a key sets before its messages. The send that caused them is recorded before them.
 */
import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { AuditLog } from "./log.ts";

type Decided = Extract<EnvironmentServerEvent, { readonly type: "approval_decided" }>;
type Switched = Extract<EnvironmentServerEvent, { readonly type: "mode_switched" }>;

const policyPrefix = "policy:";

/** Records a decision. It never rejects: `onFailure` receives a failure. */
export async function auditDecision(
  log: Pick<AuditLog, "append">,
  { decidedBy, behavior: decision, agentId, environmentId: _environmentId, ...facts }: Decided,
  onFailure: (cause: unknown) => void,
): Promise<void> {
  const policy = decidedBy.startsWith(policyPrefix) ? decidedBy.slice(policyPrefix.length) : null;
  const keyId = policy === null ? decidedBy : null;
  try {
    await log.append({ ...facts, agentId: agentId || null, decision, keyId, policy });
  } catch (cause) {
    onFailure(cause);
  }
}

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
