import type { AuditObjectStub } from "../../adapters/cloudflare/audit-log.ts";
import type { FlightObjectStub } from "../../adapters/cloudflare/flight-object.ts";
import type { KeyObjectStub } from "../../adapters/cloudflare/key-object.ts";
import type { ObjectNamespace } from "../../adapters/cloudflare/object-namespace.ts";
import type { RateLimitObjectStub } from "../../adapters/cloudflare/rate-limit-object.ts";

/** What `wrangler.jsonc` binds. Everything else in it is a setting or a secret, as text. */
export interface WorkerBindings {
  readonly KEYS: ObjectNamespace<KeyObjectStub>;
  readonly LIMITS: ObjectNamespace<RateLimitObjectStub>;
  readonly FLIGHTS: ObjectNamespace<FlightObjectStub>;
  readonly AUDIT: ObjectNamespace<AuditObjectStub>;
}
