/**
 * The services that a runtime passes to the pipeline, over resources that it has opened. `ports.ts` has the small interfaces among these
 * services, `features.ts` what each pipeline creates from them.
 */
import type { AdminConfig } from "./admin/admission.ts";
import type { AdminServices } from "./admin/handler.ts";
import type { UpstreamServer } from "./upstream/settings.ts";
import type { AuditLog } from "./audit/log.ts";
import type { TokenAuthenticator } from "./auth/jwt.ts";
import type { JwtSettings } from "./auth/jwt-settings.ts";
import type { LiftRestrictions } from "./auth/shadow.ts";
import type { GatewaySettings } from "./config/settings.ts";
import type { ConsoleSessions } from "./console/sessions.ts";
import type { CurrentCheck } from "./reauthentication.ts";
import type { BodyBudget } from "./http/body-memory.ts";
import type { Extensions } from "./extension-port.ts";
import type { EnvironmentCache } from "./cache/environment-cache.ts";
import type { DeviceSockets, GatewayPorts, JwksFetch } from "./ports.ts";
import type { RateLimiter } from "./rate-limit/limiter.ts";
import type { WrapApiStep } from "./request-exchange.ts";

/** Everything that the pipeline needs from a runtime. */
export interface GatewayServices extends GatewayPorts {
  readonly upstream: UpstreamServer;
  /** Records every send before it leaves; `null` records nothing. */
  readonly audit: AuditLog | null;
  /** Caches environments for a few seconds; `null` caches nothing. */
  readonly environmentCache: EnvironmentCache | null;
  /** Holds the current credential check, for all pipelines of a process and what they opened; absent: the configuration does not change. */
  readonly currentCheck?: CurrentCheck | undefined;
  /** Counts the memory of request bodies in all pipelines of a process; absent: it is not counted. */
  readonly bodyMemory?: BodyBudget;
  /** Decides rate limits; `null` limits nothing. */
  readonly rateLimiter: RateLimiter | null;
  /** Device sockets, where the environment server is embedded; `null` hides the endpoints for devices. */
  readonly deviceSockets: DeviceSockets | null;
  /** The extensions of the API; absent or `null`: the gateway serves only the vendor's API. */
  readonly apiExtensions?: Extensions | null;
  /** Reads the JWKS of the token issuer; required where the configuration accepts tokens. */
  readonly fetchJwks?: JwksFetch;
  /** Returns the token authenticator for these settings, where it outlives this gateway; absent: created with {@link fetchJwks}. */
  readonly tokenAuthenticatorFor?: ((settings: JwtSettings) => TokenAuthenticator) | undefined;
  /** Wraps the steps of the API, for observers; absent: the steps run unwrapped. */
  readonly wrapStep?: WrapApiStep | undefined;
  /**
   * Lifts the same restrictions as {@link wrapStep}, for callers that are re-authenticated, for open streams, and for keys that the administration
   * compares. Absent: lifts nothing.
   */
  readonly liftRestrictions?: LiftRestrictions | undefined;
  /** Sessions of the web console; absent or `null` where it is not served. */
  readonly consoleSessions?: ConsoleSessions | null;
  /** Services for the administration; absent where keys and devices are not administered over HTTP. */
  readonly admin?: AdminServices | undefined;
}

/** Configures the pipeline: every setting of a gateway except those that the services are built from. */
export interface GatewayConfig extends Omit<GatewaySettings, "upstream" | "cache">, AdminConfig {
  /** The gateway's own `User-Agent` towards the upstream, see `version.ts`. */
  readonly userAgent: string;
}
