/**
 * Counts the tenants for which a remote upstream fails. The event `upstream_down` reports only the moment at which the circuit of a tenant
 * opens, and an alert must last as long as the outage.
 */
import type { Clock } from "@letta-environments/platform";
import type { ProxyEvent } from "../telemetry.ts";

/** How long a tenant counts after its last failed request, in milliseconds. A circuit stays open while there are no calls. */
const idleMs = 300_000;

/** The largest number of tenants; as many as have circuits. Beyond it, the one that failed longest ago is forgotten. */
const maxTenants = 10_000;

/** The tenants whose circuit is open. */
export interface OpenCircuits {
  record(event: { readonly type: string }): void;
  /** Returns the number of tenants whose circuit is open and that got a 5xx response in the last five minutes. */
  count(): number;
}

/** Creates {@link OpenCircuits} without tenants. */
export function createOpenCircuits(clock: Pick<Clock, "monotonic">): OpenCircuits {
  /** The tenant that failed longest ago comes first. */
  const failedAt = new Map<string, number>();

  function open(tenant: string): void {
    failedAt.delete(tenant);
    failedAt.set(tenant, clock.monotonic());
    const [oldest] = failedAt.keys();
    if (failedAt.size > maxTenants && oldest !== undefined) failedAt.delete(oldest);
  }

  return {
    record(event) {
      const observed = event as ProxyEvent;
      if (observed.type === "upstream_down") open(observed.tenant);
      else if (observed.type === "upstream_recovered") failedAt.delete(observed.tenant);
      else if (failedAt.size > 0 && observed.type === "request" && observed.status >= 500) {
        const { tenant } = observed;
        if (tenant !== null && failedAt.has(tenant)) open(tenant);
      }
    },
    count() {
      const since = clock.monotonic() - idleMs;
      let open = 0;
      for (const at of failedAt.values()) if (at > since) open += 1;
      return open;
    },
  };
}
