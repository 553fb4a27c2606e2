/**
 * `letta-proxy` on Cloudflare Workers with the web console: the entry of `wrangler.console.jsonc`. It is the same gateway with the same
 * Durable Objects, plus sessions. The files of the console are static assets, which the platform serves.
 */
import { randomBytes } from "@letta-environments/platform/cloudflare";
import { createConsoleSessions } from "../console/sessions.ts";
import { deviceVersion, version } from "../version.ts";
import type { ComposeSessions } from "./cloudflare/compose.ts";
import { createWorker, type Worker } from "./cloudflare/worker.ts";

/** The log of changes of keys. */
export { AuditObject } from "../adapters/cloudflare/audit-object.ts";
/** Coordinates concurrent cache misses. */
export { FlightObject } from "../adapters/cloudflare/flight-object.ts";
/** The keys, with the sessions of the console. */
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
/** Limits that belong to no tenant, and the sends, limits and audit records of a tenant. */
export { RateLimitObject, TenantObject } from "../adapters/cloudflare/tenant-object.ts";

/**
 * Composes the sessions of a Worker. They are secrets of keys, so they are in the object that has the keys. The platform passes the host that
 * the client requested, so the origin of the page needs no setting. The administration is on the same listener; devices, extensions of the
 * API, figures and the search of the audit log are not here.
 */
const composeSessions: ComposeSessions = (ports) =>
  createConsoleSessions(
    { ...ports, randomBytes },
    {
      publicUrl: null,
      version,
      servesDevices: false,
      servesExtensions: false,
      isAdministered: true,
      deviceVersion,
    },
  );

const worker: Worker = createWorker(composeSessions);
export default worker;
