/** Which policies of the configuration decide on requests for permission: those for every tenant, for one tenant, and for one key. */
import type { ApprovalPolicy, Principal } from "@letta-environments/schema";
import { earliest } from "../keys/key-record.ts";

/** The policies of a gateway. */
export interface ApprovalPolicies {
  /** `null`: none for everybody. */
  readonly everybody: ApprovalPolicy | null;
  readonly tenants: ReadonlyMap<string, ApprovalPolicy>;
  /** By the ids of keys. */
  readonly keys: ReadonlyMap<string, ApprovalPolicy>;
}

/** Combines all policies of a principal, including its key's own: all denied tools, and the earliest deadline. `null` without a policy. */
export function approvalPolicyOf(
  { everybody, tenants, keys }: ApprovalPolicies,
  { tenant, keyId, approvalPolicy }: Pick<Principal, "tenant" | "keyId" | "approvalPolicy">,
): ApprovalPolicy | null {
  const policies = [everybody, tenants.get(tenant), keys.get(keyId), approvalPolicy].filter(
    (policy) => policy !== null && policy !== undefined,
  );
  if (policies.length < 2) return policies[0] ?? null;
  return {
    deniedTools: [...new Set(policies.flatMap(({ deniedTools }) => deniedTools))],
    deadlineMs: earliest(...policies.map(({ deadlineMs }) => deadlineMs)),
  };
}
