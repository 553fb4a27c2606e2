/** Tenants as the configuration names them, and types of questions about them: which one may call, with which credential for the upstream. */

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
