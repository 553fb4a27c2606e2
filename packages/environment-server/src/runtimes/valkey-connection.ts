/** A connection to Valkey or Redis for the logs of `./valkey`, on every runtime that has `node:net`. Needs the package `iovalkey`. */
export type { ValkeyConnection } from "@letta-environments/platform";
export { connectValkey, type ValkeyOptions } from "@letta-environments/platform/valkey";
