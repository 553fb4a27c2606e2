/** Audit entries of decisions on requests for permission, by keys and by policies, once they were sent to a device. */
import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { AuditLog } from "./log.ts";

type Decided = Extract<EnvironmentServerEvent, { readonly type: "approval_decided" }>;

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
