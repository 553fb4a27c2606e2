/**
 * `letta-proxy` on Cloudflare Workers with the web console: the entry of `wrangler.console.jsonc`. It is the same gateway, and has sessions
 * as well. The files of the console are static assets, which the platform serves.
 */
import { composeWorkerSessions } from "./cloudflare/sessions.ts";
import { createWorker, type Worker } from "./cloudflare/worker.ts";

export { AuditObject } from "../adapters/cloudflare/audit-object.ts";
export { FlightObject } from "../adapters/cloudflare/coordinator-object.ts";
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
export { RateLimitObject } from "../adapters/cloudflare/rate-limit-object.ts";
export { SendObject } from "../adapters/cloudflare/tenant-object.ts";

const worker: Worker = createWorker(composeWorkerSessions);
export default worker;
