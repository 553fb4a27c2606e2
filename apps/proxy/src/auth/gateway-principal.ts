import type { Principal } from "@letta-environments/schema";
import type { KeyRateLimits } from "../keys/key-rate-limit.ts";

/** A {@link Principal} with what only the gateway needs to know of it. */
export interface GatewayPrincipal extends Principal {
  /** The key's own measures of rate limits; absent where it has none. */
  readonly rateLimits?: KeyRateLimits;
}
