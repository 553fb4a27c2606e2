import { validateRateLimitPolicy } from "../rate-limit/policy.ts";
import { parseDuration } from "./parse-duration.ts";

/**
 * A key's overrides of rate limits, by policy name: `LIMIT/WINDOW` or `LIMIT/WINDOW/BURST`, such as `10/1m` or
 * `1000/1d/50`, or `none`, which exempts the key from the policy.
 */
export type KeyRateLimits = Readonly<Record<string, string>>;

/** The limit of a key in place of that of the policy. */
export interface PolicyOverride {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
}

/** The rule that an override must follow. */
export const policyOverrideRule = "must be LIMIT/WINDOW, LIMIT/WINDOW/BURST or none, such as 10/1m or 1000/1d/50";

const overridePattern = /^([0-9]{1,10})\/([0-9]{1,9}[smhd])(?:\/([0-9]{1,10}))?$/;

/** Parses an override; `null` for invalid text. */
export function parsePolicyOverride(text: string): PolicyOverride | "none" | null {
  if (text === "none") return "none";
  const [, limitText, window = "", burstText = limitText] = overridePattern.exec(text) ?? [];
  if (limitText === undefined) return null;
  const override = { limit: Number(limitText), windowMs: parseDuration(window) ?? 0, burst: Number(burstText) };
  const rest = { name: "own", unit: "requests", mode: "enforce", onStoreError: "local" } as const;
  return validateRateLimitPolicy({ ...rest, ...override }) === null ? override : null;
}

/** Applies a merge patch (RFC 7396), in which `null` removes an override. Returns `null` if none is left. */
export function patchRateLimits(
  present: KeyRateLimits | null,
  patch: Readonly<Record<string, string | null>> | null,
): KeyRateLimits | null {
  if (patch === null) return null;
  const left = Object.entries({ ...present, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null);
  return left.length === 0 ? null : Object.fromEntries(left);
}
