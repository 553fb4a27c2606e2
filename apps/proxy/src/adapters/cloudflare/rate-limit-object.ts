import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import { TenantObject } from "./tenant-object.ts";

/**
 * The Durable Object of rate limits that belong to no tenant, such as those of an address. It uses only the limits of a tenant's object. An unused
 * object deletes its storage, so that it costs nothing.
 */
export class RateLimitObject extends TenantObject {
  async release(leaseId: string, checks: readonly RateLimitCheck[]): Promise<void> {
    await this.conclude({ leases: [{ leaseId, checks }] });
  }
}
