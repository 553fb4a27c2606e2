import type { PlainResponse } from "@letta-environments/schema";
import type { TenantWay } from "./auth/tenant-gate.ts";
import type { RateLimitSettings } from "./config/rate-limit-settings.ts";
import type { JwtSettings, TenantSettings } from "./config/settings.ts";
import type { GatewayRequest } from "./gateway-request.ts";

/** What the pipeline is told about the world it runs in. */
export interface ProxyConfig {
  readonly upstream: UpstreamConfig;
  /** How long one request may wait for the upstream, in milliseconds, however many calls it takes. */
  readonly upstreamTimeoutMs: number;
  /** The gateway's own `User-Agent` towards the upstream. */
  readonly userAgent: string;
  /** Tokens that are accepted beside gateway keys; absent: none. */
  readonly jwt?: JwtSettings | null;
  /** Whether callers may bring their own key of an HTTP upstream. */
  readonly passThrough?: boolean;
  /** What is said of tenants by name. */
  readonly tenants?: ReadonlyMap<string, TenantSettings>;
  /** Whether the audit log keeps what was sent; absent: it does not. */
  readonly auditContent?: boolean;
  /** Rate limits and whose address counts; absent: nothing is limited. */
  readonly rateLimits?: RateLimitSettings;
  /** Origins of web pages that may call; absent or empty: none. */
  readonly corsOrigins?: readonly string[];
  /** The listener of its own on which keys are administered; absent or `null`: on the main one, with keys of scope `admin`. */
  readonly adminListener?: AdminListenerConfig | null;
  /**
   * The operator's token for the administration on the main listener, for a platform that has one listener alone; absent or `null`: only keys
   * of scope `admin` administer there. Not used beside `adminListener`. Never shown.
   */
  readonly operatorToken?: string | null;
}

/** What the administration listener is told. */
export interface AdminListenerConfig {
  /** The operator's token. Never shown. */
  readonly token: string;
  /** Refuses, before anything else is looked at, what does not call it by a name of its own. */
  readonly guard: (request: GatewayRequest) => PlainResponse | null;
}

/** What stands behind the gateway. */
export type UpstreamConfig =
  /** The environment server in the same process: it knows the principal and its answers are our own. */
  | { readonly kind: "embedded" }
  /** A server elsewhere, called with the tenant's credential; its answers are judged before they are passed on. */
  | { readonly kind: "http"; readonly credentialOf: CredentialOf; readonly admitsTenant?: AdmitsTenant };

/** Whether a tenant may call the upstream: not with a credential under which it would see another tenant's devices. */
export type AdmitsTenant = (tenant: string, via: TenantWay) => boolean | Promise<boolean>;

/** The gateway's credential for a tenant, as it is now: a file may have changed. `null`: there is none. */
export type CredentialOf = (tenant: string) => string | null;
