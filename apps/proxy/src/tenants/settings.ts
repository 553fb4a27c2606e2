/** Tenants as the configuration names them, the policies for requests for permission, and types of questions about tenants. */
import type { ApprovalPolicy, Principal } from "@letta-environments/schema";
import { earliest } from "../keys/key-record.ts";

/** The settings of a tenant. */
export interface TenantSettings {
  /** `null`: `LETTA_API_KEY`. */
  readonly credential: CredentialSource | null;
  /** Shown as `organizationId` to callers without the scope `details`; `null`: the name of the tenant. */
  readonly publicName: string | null;
  /** The only devices that any key of the tenant may use, by id and by patterns of names; both `null`: every device. */
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
}

/** The source of an upstream credential. */
export type CredentialSource =
  | { readonly kind: "environment"; readonly variable: string; readonly value: string }
  | { readonly kind: "file"; readonly path: string };

/** How a caller authenticated, as far as tenants are concerned: with a gateway key or with a JWT. */
export type CredentialKind = "key" | "token";

/** Decides whether a tenant may call the upstream: not with a credential that would show it another tenant's devices. */
export type AdmitsTenant = (tenant: string, via: CredentialKind) => boolean | Promise<boolean>;

/** Returns the current upstream credential of a tenant, which can change with its file; `null`: none. */
export type CredentialOf = (tenant: string) => string | null;

/** The tenant of every JWT, as far as the configuration names it; `null`: a claim names it. */
export interface TokenTenant {
  readonly tenant: string | null;
}

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
