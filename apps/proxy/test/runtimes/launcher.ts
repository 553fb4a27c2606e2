/** The application suite's port to a runtime: a launcher that starts the built gateway on it. */
import type { Scope } from "@letta-environments/schema";

/** A runtime that the suite runs on. */
export type RuntimeName = "node" | "bun" | "deno" | "workerd";

/** How the gateway is to be started. */
export interface LaunchRequest {
  /** The content of `proxy.config.json`, or of the binding that replaces it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Environment variables or bindings: `UPSTREAM_URL` and `LETTA_API_KEY`; without `UPSTREAM_URL` the server is embedded. */
  readonly environment: Readonly<Record<string, string>>;
  /** The process's limit of open files; absent: that of the test. */
  readonly maxOpenFiles?: number;
}

/** The rights of a key for a test. */
export interface KeyOptions {
  readonly scopes: readonly Scope[];
  /** The only devices it may use; absent: all. */
  readonly deviceIds?: readonly string[];
}

/** A key that was made. */
export interface IssuedKey {
  readonly id: string;
  /** The caller's credential. */
  readonly key: string;
}

/** A gateway that runs, with its own stores that are gone when it stops. */
export interface LaunchedGateway {
  /** Such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** The process, where the gateway is one that this machine can inspect. */
  readonly pid?: number;
  /** The log of the process, one JSON object a line. */
  readonly log?: () => string;
  createKey(options: KeyOptions): Promise<IssuedKey>;
  /** Ends a key. The suite waits until the gateway refuses it, as long as the runtime's stores may take. */
  revokeKey(id: string): Promise<void>;
  /** Tells it to stop, as its platform does; resolves when it has. */
  stop(): Promise<void>;
}

/** A runtime with the built gateway. */
export interface RuntimeLauncher {
  readonly name: RuntimeName;
  /** The version that really runs, such as `1.4.5`. */
  readonly version: string;
  /** Starts the built artefact and resolves when it accepts requests. */
  launch(request: LaunchRequest): Promise<LaunchedGateway>;
}
