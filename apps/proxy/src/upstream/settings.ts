/** The upstream: its settings, and its URLs. */
import type { IdempotencyStore } from "../idempotency/store.ts";
import type { Unreleased } from "../idempotency/unreleased.ts";
import { isLoopbackHost } from "../lib/hosts.ts";
import type { EmbeddedServer, GatewayPorts, UpstreamFetch } from "../ports.ts";
import type { AdmitsTenant, CredentialOf } from "../tenants/settings.ts";
import type { Upstream } from "./upstream.ts";

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
  | {
      readonly kind: "embedded";
      readonly server: EmbeddedServer;
      /** Creates the upstream over it; see `embedServer`. */
      readonly createUpstream: (ports: GatewayPorts) => Upstream;
    }
  | {
      readonly kind: "remote";
      readonly fetch: UpstreamFetch;
      readonly idempotencyStore: IdempotencyStore;
      /** Shared by all gateways of the process that use this store; absent: there is only one. */
      readonly unreleased?: Unreleased | undefined;
      /** Whether `idempotencyStore` is lost when the process ends, so that clients must not rely on it. */
      readonly isStoreVolatile?: boolean;
      readonly credentialOf: CredentialOf;
      readonly admitsTenant?: AdmitsTenant;
      /** The most calls that may run at the same time. */
      readonly maxConcurrent: number;
      /** Whether a request must not wait for what another one reads, as on Workers. Default: false. */
      readonly isolatesRequests?: boolean;
    };

/** Where an upstream is: an origin and the path before `/v1`. */
export interface UpstreamBaseUrl {
  readonly origin: string;
  /** Empty, or a path that starts with `/` and does not end with one. */
  readonly basePath: string;
}

/**
 * Parses the URL of an upstream, or returns the rule that it breaks. Every request sends a credential, which must not cross a
 * network unencrypted: `http:` is for loopback only, unless `allowInsecure`. The rule about that ends with `hint`, where a setting allows it.
 */
export function parseUpstreamBaseUrl(
  text: string,
  allowInsecure: boolean,
  hint = "",
): { readonly ok: true; readonly value: UpstreamBaseUrl } | { readonly ok: false; readonly rule: string } {
  if (!URL.canParse(text)) return { ok: false, rule: "must be an absolute URL" };
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return { ok: false, rule: "must be an https: URL" };
  if (url.username !== "" || url.password !== "") return { ok: false, rule: "must not contain a user or a password" };
  if (url.search !== "" || url.hash !== "") return { ok: false, rule: "must have no query and no fragment" };
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname) && !allowInsecure) {
    return { ok: false, rule: `must be https: (http: is for loopback${hint})` };
  }
  return { ok: true, value: { origin: url.origin, basePath: url.pathname.replace(/\/+$/, "") } };
}

/** A path that no URL parser changes: without empty segments, and without those that it resolves, percent-encoded or not. */
const stablePath = /^(?:\/(?!(?:\.|%2e){1,2}(?:\/|$))(?:[\w.~!$&'()*+,;=:@-]|%[0-9a-f]{2})+)+$/i;

/**
 * Returns the request target of a path at the upstream: what follows the origin in its URL.
 *
 * @throws RangeError if a URL parser would read the path as another path
 */
export function upstreamTarget({ basePath }: UpstreamBaseUrl, path: string, query: string): string {
  if (!stablePath.test(path)) throw new RangeError("a URL parser would change the path");
  return query === "" ? basePath + path : `${basePath}${path}?${query}`;
}
