import type { Context } from "hono";

/** The sources of the settings of a gateway without a process of its own. */
export interface SettingSources {
  /** Environment variables, such as `process.env`. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The content of `proxy.config.json` as a value. Default: an empty configuration. */
  readonly config?: unknown;
}

/** Settings of a gateway, and what it cannot know about the app that it is mounted in. */
export interface GatewayOptions<Bindings extends object = object> extends SettingSources {
  /**
   * Returns the client's address from a source that clients cannot forge, so not from a header that they can set. Without it, all
   * clients share the limits that count addresses.
   */
  readonly clientAddressOf?: (context: Context<{ Bindings: Bindings }>) => string | null;
}
