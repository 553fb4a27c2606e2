/**
 * `letta-proxy` on Cloudflare Workers, without the web console: the entry of `wrangler.jsonc`, from which the build makes `dist/worker`.
 *
 * The platform finds the classes of Durable Objects by the names that they have here and in `wrangler.jsonc`. Under another name a deployed
 * object, such as the one with all keys, would be lost. `cloudflare-console.ts` exports the same classes.
 */
import { createWorker, type Worker } from "./cloudflare/worker.ts";

/** The log of changes of keys. */
export { AuditObject } from "../adapters/cloudflare/audit-object.ts";
/** Coordinates concurrent cache misses. */
export { FlightObject } from "../adapters/cloudflare/flight-object.ts";
/** The keys, with the sessions of the console. */
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
/** Limits that belong to no tenant, and the sends, limits and audit records of a tenant. */
export { RateLimitObject, TenantObject } from "../adapters/cloudflare/tenant-object.ts";

const worker: Worker = createWorker();
export default worker;
