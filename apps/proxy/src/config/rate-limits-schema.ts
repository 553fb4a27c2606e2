import * as v from "valibot";
import { oneOf } from "../lib/strict-schemas.ts";
import { type LimitedRoute, limitedRoutes, rateLimitStoreNames } from "../limits/settings.ts";
import { rateLimitDimensions, rateLimitFailureModes } from "../rate-limit/policy.ts";
import type { RateLimitPolicyFile, RateLimitsFile } from "./file.ts";
import { list, number, object, record, text } from "./schema-helpers.ts";

const costs = Object.fromEntries(limitedRoutes.map((route) => [route, v.exactOptional(number(0, 1_000_000))])) as {
  readonly [Route in LimitedRoute]: v.ExactOptionalSchema<v.GenericSchema<unknown, number>, undefined>;
};

const PolicySchema: v.GenericSchema<unknown, RateLimitPolicyFile> = object({
  per: list(oneOf(rateLimitDimensions), 5),
  limit: number(1, 1_000_000_000),
  windowMs: v.exactOptional(number(1, 31_536_000_000)),
  burst: v.exactOptional(number(1, 1_000_000_000)),
  unit: v.exactOptional(v.picklist(["requests", "concurrent-requests"], "must be requests or concurrent-requests")),
  routes: v.exactOptional(list(oneOf(limitedRoutes), limitedRoutes.length)),
  costs: v.exactOptional(object(costs)),
  mode: v.exactOptional(v.picklist(["enforce", "shadow"], "must be enforce or shadow")),
  onStoreError: v.exactOptional(oneOf(rateLimitFailureModes)),
});

/** {@link RateLimitsFile}, strict. */
export const RateLimitsSchema: v.GenericSchema<unknown, RateLimitsFile> = object({
  enabled: v.exactOptional(v.boolean()),
  store: v.exactOptional(oneOf(rateLimitStoreNames)),
  deadlineMs: v.exactOptional(number(1, 10_000)),
  instances: v.exactOptional(number(1, 10_000)),
  trustedHops: v.exactOptional(number(0, 16)),
  clientAddressHeader: v.exactOptional(
    v.picklist(["x-forwarded-for", "forwarded"], "must be x-forwarded-for or forwarded"),
  ),
  policies: v.exactOptional(record(text(64), PolicySchema)),
  exempt: v.exactOptional(
    object({
      keyIds: v.exactOptional(list(text(128), 10_000)),
      tenants: v.exactOptional(list(text(128), 10_000)),
      addresses: v.exactOptional(list(text(64), 10_000)),
    }),
  ),
});
