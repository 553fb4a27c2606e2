import type { RateLimitPolicyFile } from "./rate-limit-file.ts";

/**
 * The limits without any configuration: a person and a script of theirs never meet them, a loop does within a second. A fleet whose devices
 * share one key may come back at once after a restart of the gateway.
 */
export const defaultRateLimits: Readonly<Record<string, RateLimitPolicyFile>> = {
  "gateway-requests": {
    per: ["key"],
    limit: 6_000,
    windowMs: 60_000,
    burst: 1_000,
    routes: ["listEnvironments", "retrieveEnvironment", "sendMessage", "administerKeys"],
  },
  "gateway-sends": { per: ["key", "device"], limit: 600, windowMs: 60_000, burst: 300, routes: ["sendMessage"] },
  "gateway-running-sends": {
    per: ["key"],
    unit: "concurrent-requests",
    limit: 100,
    windowMs: 60_000,
    routes: ["sendMessage"],
  },
  "gateway-devices": {
    per: ["key"],
    limit: 2_400,
    windowMs: 60_000,
    burst: 2_400,
    routes: ["registerEnvironment", "openDeviceSocket"],
  },
  "gateway-failed-authentication": {
    per: ["address"],
    limit: 60,
    windowMs: 60_000,
    burst: 60,
    routes: ["failedAuthentication"],
  },
};
