/** `letta-proxy` on Cloudflare Workers, without the web console: the entry of `wrangler.jsonc`. */
import { createWorker, type Worker } from "./cloudflare/worker.ts";

export { AuditObject } from "../adapters/cloudflare/audit-object.ts";
export { FlightObject } from "../adapters/cloudflare/coordinator-object.ts";
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
export { RateLimitObject } from "../adapters/cloudflare/rate-limit-object.ts";
export { SendObject } from "../adapters/cloudflare/tenant-object.ts";

const worker: Worker = createWorker();
export default worker;
