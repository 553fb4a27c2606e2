import type { EmbeddedServer, UpstreamFetch } from "../ports.ts";
import type { AdmitsTenant, CredentialOf } from "../tenants/settings.ts";
import type { UpstreamBaseUrl } from "./base-url.ts";

/** The upstream as it is configured. */
export type UpstreamSettings =
  | { readonly kind: "embedded" }
  | {
      readonly kind: "http";
      readonly baseUrl: UpstreamBaseUrl;
      /** `LETTA_API_KEY`. Never shown. */
      readonly credential: string | null;
      readonly maxResponseBytes: number;
    };

/** The server behind the gateway, as a runtime provides it. */
export type UpstreamServer =
  | { readonly kind: "embedded"; readonly server: EmbeddedServer }
  | {
      readonly kind: "remote";
      readonly fetch: UpstreamFetch;
      readonly credentialOf: CredentialOf;
      readonly admitsTenant?: AdmitsTenant;
    };
