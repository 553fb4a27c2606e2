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
    "What is counted apart: key, tenant, address, route, device; all of them together.",
  ),
  limit: setting(
    number(1, 1_000_000_000),
    "Units that come back in a window, evenly; of concurrent requests, how many at once.",
  ),
  windowMs: v.exactOptional(
    setting(
      number(1, 31_536_000_000),
      "The window, in milliseconds. Default: 60000. Of concurrent requests, when a forgotten one ends.",
    ),
  ),
  burst: v.exactOptional(
    setting(number(1, 1_000_000_000), "Units that may be spent at once after a rest. Default: limit."),
  ),
  unit: v.exactOptional(
    setting(
      v.picklist(["requests", "concurrent-requests"], "must be requests or concurrent-requests"),
      "Whether requests are counted by cost, or how many run at the same time. Default: requests.",
    ),
  ),
  routes: v.exactOptional(
    setting(
      list(oneOf(limitedRoutes), limitedRoutes.length),
      "What it applies to. Default: every operation, but not failedAuthentication.",
    ),
  ),
  costs: v.exactOptional(setting(object(costs), "Units that a request costs, by route. Default: 1.")),
  mode: v.exactOptional(
    setting(
      v.picklist(["enforce", "shadow"], "must be enforce or shadow"),
      "shadow decides and reports, and refuses nothing.",
    ),
  ),
  onStoreError: v.exactOptional(
    setting(
      oneOf(rateLimitFailureModes),
      "While the store cannot be asked: decide by this process alone, let pass, or refuse. Default: local.",
    ),
  ),
});

/** {@link RateLimitsFile}, strict. */
export const RateLimitsSchema: v.GenericSchema<unknown, RateLimitsFile> = object({
  enabled: v.exactOptional(setting(v.boolean(), "Whether there are limits at all. Default: true.")),
  store: v.exactOptional(
    setting(
      oneOf(rateLimitStoreNames),
      "Where limits are counted. Default: valkey where VALKEY_URL is set, else memory.",
    ),
  ),
  deadlineMs: v.exactOptional(setting(number(1, 10_000), "How long a request waits for the store. Default: 100.")),
  instances: v.exactOptional(
    setting(number(1, 10_000), "Gateway processes that share the limits, for decisions without the store. Default: 1."),
  ),
  trustedHops: v.exactOptional(
    setting(
      number(0, 16),
      "Reverse proxies in front that append to clientAddressHeader. Default: 0: the peer is the client.",
    ),
  ),
  clientAddressHeader: v.exactOptional(
    setting(
      v.picklist(["x-forwarded-for", "forwarded"], "must be x-forwarded-for or forwarded"),
      "The one header that is believed. Default: x-forwarded-for.",
    ),
  ),
  policies: v.exactOptional(
    setting(record(text(64), PolicySchema), "Policies by name, in the place of the default ones."),
  ),
  exempt: v.exactOptional(
    object({
      keyIds: v.exactOptional(setting(list(text(128), 10_000), "Keys without limits, by their public ids.")),
      tenants: v.exactOptional(setting(list(text(128), 10_000), "Tenants without limits.")),
      addresses: v.exactOptional(
        setting(list(text(64), 10_000), "Client addresses without limits; of IPv6 the /64 counts."),
      ),
    }),
  ),
});
