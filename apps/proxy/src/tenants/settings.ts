/** What is said of a tenant. */
export interface TenantSettings {
  /** `null`: `LETTA_API_KEY`. */
  readonly credential: CredentialSource | null;
  /** What callers without scope `details` see as `organizationId`; `null`: the tenant's own name. */
  readonly publicName: string | null;
  /** The only devices that any key of the tenant may use, by id and by patterns of names; both `null`: every device. */
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
}

/** Where a credential for the upstream is found. */
export type CredentialSource =
  | { readonly kind: "environment"; readonly variable: string; readonly value: string }
  | { readonly kind: "file"; readonly path: string };

/** How a caller authenticated, as far as tenants are concerned: with a gateway key or with a JWT. */
export type CredentialKind = "key" | "token";

/** Whether a tenant may call the upstream: not with a credential under which it would see another tenant's devices. */
export type AdmitsTenant = (tenant: string, via: CredentialKind) => boolean | Promise<boolean>;

/** The gateway's credential for a tenant, as it is now: a file may have changed. `null`: there is none. */
export type CredentialOf = (tenant: string) => string | null;

/** The tenant of every JWT, as far as the configuration names it; `null`: a claim names it. */
export interface TokenTenant {
  readonly tenant: string | null;
}
