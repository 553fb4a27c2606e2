import * as v from "valibot";
import { oneOf } from "../lib/strict-schemas.ts";
import {
  type LimitedRoute,
  limitedRoutes,
  rateLimitDimensions,
  rateLimitFailureModes,
  rateLimitStoreNames,
} from "../limits/settings.ts";
import type { RateLimitPolicyFile, RateLimitsFile } from "./file.ts";
import { list, number, object, record, setting, text } from "./schema-helpers.ts";

const costs = Object.fromEntries(
  limitedRoutes.map((route) => [
    route,
    v.exactOptional(setting(number(0, 1_000_000), `Units that a request of ${route} costs.`)),
  ]),
) as {
  readonly [Route in LimitedRoute]: v.ExactOptionalSchema<v.GenericSchema<unknown, number>, undefined>;
};

const PolicySchema: v.GenericSchema<unknown, RateLimitPolicyFile> = object({
  per: setting(
    list(oneOf(rateLimitDimensions), 5),
    "Dimensions of the counter: key, tenant, address, route, device. Each combination has its own counter.",
  ),
  limit: setting(
    number(1, 1_000_000_000),
    "Units that are refilled per window, evenly. For concurrent-requests: how many may run at once.",
  ),
  windowMs: v.exactOptional(
    setting(
      number(1, 31_536_000_000),
      "The window, in milliseconds. Default: 60000. For concurrent-requests: when an unreleased lease expires.",
    ),
  ),
  burst: v.exactOptional(
    setting(number(1, 1_000_000_000), "Units that an idle caller may spend at once. Default: limit."),
  ),
  unit: v.exactOptional(
    setting(
      v.picklist(["requests", "concurrent-requests"], "must be requests or concurrent-requests"),
      "Whether the policy limits the rate of requests or their concurrency. Default: requests.",
    ),
  ),
  routes: v.exactOptional(
    setting(
      list(oneOf(limitedRoutes), limitedRoutes.length),
      "Routes to which the policy applies. Default: every operation, without failedAuthentication and failedSignIn.",
    ),
  ),
  costs: v.exactOptional(setting(object(costs), "Units that a request costs, by route. Default: 1.")),
  mode: v.exactOptional(
    setting(
      v.picklist(["enforce", "shadow"], "must be enforce or shadow"),
      "enforce refuses requests; shadow only reports what it would refuse. Default: enforce.",
    ),
  ),
  onStoreError: v.exactOptional(
    setting(
      oneOf(rateLimitFailureModes),
      "Decision while the store is unavailable: local counts in this process, open allows, closed refuses. Default: local.",
    ),
  ),
});

/** {@link RateLimitsFile}, strict. */
export const RateLimitsSchema: v.GenericSchema<unknown, RateLimitsFile> = object({
  enabled: v.exactOptional(setting(v.boolean(), "Whether requests are limited. Default: true.")),
  store: v.exactOptional(
    setting(oneOf(rateLimitStoreNames), "Store of the counters. Default: valkey if VALKEY_URL is set, else memory."),
  ),
  deadlineMs: v.exactOptional(
    setting(number(1, 10_000), "How long a request waits for the store, in milliseconds. Default: 100."),
  ),
  instances: v.exactOptional(
    setting(
      number(1, 10_000),
      "Number of gateway processes that share the limits, for decisions without the store. Default: 1.",
    ),
  ),
  trustedHops: v.exactOptional(
    setting(
      number(0, 16),
      "Number of reverse proxies in front that append to clientAddressHeader. Default: 0 (the peer is the client).",
    ),
  ),
  clientAddressHeader: v.exactOptional(
    setting(
      v.picklist(["x-forwarded-for", "forwarded"], "must be x-forwarded-for or forwarded"),
      "The only header that is trusted. Default: x-forwarded-for.",
    ),
  ),
  policies: v.exactOptional(
    setting(record(text(64), PolicySchema), "Policies by name. They replace the default policies."),
  ),
  exempt: v.exactOptional(
    object({
      keyIds: v.exactOptional(setting(list(text(128), 10_000), "Keys without limits, by their public ids.")),
      tenants: v.exactOptional(setting(list(text(128), 10_000), "Tenants without limits.")),
      addresses: v.exactOptional(
        setting(list(text(64), 10_000), "Client addresses without limits. An IPv6 address stands for its /64."),
      ),
    }),
  ),
});
