import type { AdmitsTenant, CredentialOf } from "../tenants/settings.ts";
import type { UpstreamBaseUrl } from "./upstream-base-url.ts";

/** What stands behind the proxy. */
export type UpstreamSettings =
  | { readonly kind: "embedded" }
  | {
      readonly kind: "http";
      readonly baseUrl: UpstreamBaseUrl;
      /** `LETTA_API_KEY`. Never shown. */
      readonly credential: string | null;
      readonly maxResponseBytes: number;
    };

/** What stands behind the gateway. */
export type UpstreamConfig =
  /** The environment server in the same process: it knows the principal and its answers are our own. */
  | { readonly kind: "embedded" }
  /** A server elsewhere, called with the tenant's credential; its answers are judged before they are passed on. */
  | { readonly kind: "http"; readonly credentialOf: CredentialOf; readonly admitsTenant?: AdmitsTenant };

/** How the pipeline calls the upstream. */
export interface UpstreamOptions {
  readonly upstream: UpstreamConfig;
  /** How long one request may wait for the upstream, in milliseconds, however many calls it takes. */
  readonly upstreamTimeoutMs: number;
  /** The gateway's own `User-Agent` towards the upstream. */
  readonly userAgent: string;
}
