/** What the pipeline is told about the world it runs in. */
export interface ProxyConfig {
  readonly upstream: UpstreamConfig;
  /** How long one request may wait for the upstream, in milliseconds, however many calls it takes. */
  readonly upstreamTimeoutMs: number;
  /** The gateway's own `User-Agent` towards the upstream. */
  readonly userAgent: string;
}

/** What stands behind the gateway. */
export type UpstreamConfig =
  /** The environment server in the same process: it knows the principal and its answers are our own. */
  | { readonly kind: "embedded" }
  /** A server elsewhere, called with the gateway's credential; its answers are judged before they are passed on. */
  | { readonly kind: "http"; readonly credential: string | null };
