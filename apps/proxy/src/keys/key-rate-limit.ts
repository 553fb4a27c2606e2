import { validateRateLimitPolicy } from "../rate-limit/policy.ts";
import { parseDuration } from "./parse-duration.ts";

/**
 * A key's own measures of rate limits, by the names of their policies: `LIMIT/WINDOW` or `LIMIT/WINDOW/BURST`, such as `10/1m` or
 * `1000/1d/50`, or `none`, which lifts the policy for the key.
 */
export type KeyRateLimits = Readonly<Record<string, string>>;

/** How much a key may do under a policy. */
export interface PolicyOverride {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
}

/** What a measure must be, in words. */
export const policyOverrideRule = "must be LIMIT/WINDOW, LIMIT/WINDOW/BURST or none, such as 10/1m or 1000/1d/50";

const measurePattern = /^([0-9]{1,10})\/([0-9]{1,9}[smhd])(?:\/([0-9]{1,10}))?$/;

/** Reads a measure; `null` for text that is none. */
export function parsePolicyOverride(text: string): PolicyOverride | "none" | null {
  if (text === "none") return "none";
  const [, limitText, window = "", burstText = limitText] = measurePattern.exec(text) ?? [];
  if (limitText === undefined) return null;
  const measure = { limit: Number(limitText), windowMs: parseDuration(window) ?? 0, burst: Number(burstText) };
  const rest = { name: "own", unit: "requests", mode: "enforce", onStoreError: "local" } as const;
  return validateRateLimitPolicy({ ...rest, ...measure }) === null ? measure : null;
}

/** The measures with those of a patch (RFC 7396): `null` takes one away. `null` when none is left. */
export function patchRateLimits(
  present: KeyRateLimits | null,
  patch: Readonly<Record<string, string | null>> | null,
): KeyRateLimits | null {
  if (patch === null) return null;
  const left = Object.entries({ ...present, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null);
  return left.length === 0 ? null : Object.fromEntries(left);
}
