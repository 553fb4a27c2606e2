/**
 * Rate limits of a single key. A key can override policies of the configuration by name, such as `{"gateway-sends": "10/1m"}`;
 * the overrides are stored as text, as they were given.
 */
import { type RateLimitPolicy, validateRateLimitPolicy } from "../rate-limit/policy.ts";

/**
 * Policy overrides of a key by policy name: `LIMIT/WINDOW` or `LIMIT/WINDOW/BURST`, such as `10/1m` or `1000/1d/50`, or `none`,
 * which exempts the key from the policy.
 */
export type KeyRateLimits = Readonly<Record<string, string>>;

/** A policy of the configuration. An override of one that counts only failures has no effect, and counts for nothing. */
export interface KeyPolicy extends RateLimitPolicy {
  readonly countsOnlyFailures: boolean;
}

/** The quota that a key has under a policy in place of the policy's own. */
export interface PolicyOverride {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
}

/** The format of an override, in words. */
export const policyOverrideRule = "must be LIMIT/WINDOW, LIMIT/WINDOW/BURST or none, such as 10/1m or 1000/1d/50";

/** It may grow: an older version refuses a key with a limit that it cannot read. */
const overridePattern = /^([0-9]{1,10})\/([0-9]{1,10})([smhdw])(?:\/([0-9]{1,10}))?$/;

/** The units of a window: those of durations in options, from a second up. */
const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** The longest duration: a hundred years, so that an expiry is always a valid date. */
export const maxDurationMs: number = 36_525 * 86_400_000;

/** Parses an override; returns `null` for any other text, and for a window of more than a hundred years. */
export function parsePolicyOverride(text: string): PolicyOverride | "none" | null {
  if (text === "none") return "none";
  const [, limitText, amount, unit = "", burstText = limitText] = overridePattern.exec(text) ?? [];
  const windowMs = Number(amount) * (unitMs[unit] ?? 0);
  if (limitText === undefined || windowMs > maxDurationMs) return null;
  const override = { limit: Number(limitText), windowMs, burst: Number(burstText) };
  const rest = { name: "override", unit: "requests", mode: "enforce", onStoreError: "local" } as const;
  return validateRateLimitPolicy({ ...rest, ...override }) === null ? override : null;
}

/**
 * Returns the overrides that give a key less than the policies do, with the smaller of both in each respect; `null` for none. An override of an
 * unknown policy counts as stricter, except `none`.
 */
export function restrictingRateLimits(
  limits: KeyRateLimits | null,
  policies: readonly KeyPolicy[],
): KeyRateLimits | null {
  const left = Object.entries(limits ?? {}).filter(([name]) => !allows(limits, null, name, policies));
  if (left.length === 0) return null;
  return Object.fromEntries(
    left.map(([name, text]) => {
      const [policy, own] = [policies.find((each) => each.name === name), parsePolicyOverride(text)];
      const isLess = policy === undefined || own === null || own === "none" || allows(null, limits, name, policies);
      return [name, isLess ? text : smallerOverride(own, policy)];
    }),
  );
}

/** Returns an override with the smaller rate and burst of two, or the smaller number and longer lease of concurrent requests, in whole seconds. */
function smallerOverride(own: PolicyOverride, policy: RateLimitPolicy): string {
  const isConcurrent = policy.unit === "concurrent-requests";
  const hasSmallerRate = own.limit * policy.windowMs <= policy.limit * own.windowMs;
  const rate = hasSmallerRate ? own : policy;
  const windowMs = isConcurrent ? Math.max(own.windowMs, policy.windowMs) : rate.windowMs;
  const seconds = Math.ceil(windowMs / 1_000);
  if (isConcurrent) return `${Math.min(own.limit, policy.limit)}/${seconds}s`;
  return `${Math.floor(rate.limit * ((seconds * 1_000) / windowMs))}/${seconds}s/${Math.min(own.burst, policy.burst)}`;
}

/** Whether the overrides `limits` give a key at most the quotas of `base`, wherever `base` gives less than the policies. */
export function isWithinRateLimits(
  limits: KeyRateLimits | null,
  base: KeyRateLimits | null,
  policies: readonly KeyPolicy[],
): boolean {
  return Object.keys(restrictingRateLimits(base, policies) ?? {}).every((name) => allows(base, limits, name, policies));
}

/** Whether the overrides `limits` give a key at most what `base` gives, even beyond the policies. */
export function hasAtMostRateLimits(
  limits: KeyRateLimits | null,
  base: KeyRateLimits | null,
  policies: readonly KeyPolicy[],
): boolean {
  return Object.keys({ ...base, ...limits }).every((name) => allows(base, limits, name, policies));
}

/** Whether the overrides `base` give at least the quota that `candidate` gives under a policy. */
function allows(
  base: KeyRateLimits | null,
  candidate: KeyRateLimits | null,
  name: string,
  policies: readonly KeyPolicy[],
): boolean {
  const policy = policies.find((each) => each.name === name);
  if (policy?.countsOnlyFailures === true) return true;
  const quotaOf = (limits: KeyRateLimits | null): PolicyOverride | "none" =>
    parsePolicyOverride((limits !== null && Object.hasOwn(limits, name) && limits[name]) || "") ?? policy ?? "none";
  const [larger, smaller] = [quotaOf(base), quotaOf(candidate)];
  if (larger === "none" || smaller === "none") return larger === "none";
  // A longer lease gives less.
  if (policy?.unit === "concurrent-requests")
    return smaller.limit <= larger.limit && smaller.windowMs >= larger.windowMs;
  return smaller.limit * larger.windowMs <= larger.limit * smaller.windowMs && smaller.burst <= larger.burst;
}

/** Applies a patch to the overrides of a key (RFC 7396): `null` removes one. Returns `null` when none is left. */
export function patchRateLimits(
  present: KeyRateLimits | null,
  patch: Readonly<Record<string, string | null>> | null,
): KeyRateLimits | null {
  if (patch === null) return null;
  const left = Object.entries({ ...present, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null);
  return left.length === 0 ? null : Object.fromEntries(left);
}
