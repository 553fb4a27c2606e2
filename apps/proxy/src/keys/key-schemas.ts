/** The rules for what stands in a key, wherever it is asked for: on the command line or over HTTP. */
import { ceilingModes, type EnvironmentMode, IdentifierSchema, type Scope, scopes } from "@letta-environments/schema";
import * as v from "valibot";
import { oneOf } from "../lib/strict-schemas.ts";
import { isTenantName, tenantRule } from "../config/resolve-auth.ts";
import type { KeyPatch } from "./change-key.ts";
import type { KeyRequest } from "./create-key.ts";
import { exactObject } from "../lib/strict-schemas.ts";
import { policyOverrideRule, parsePolicyOverride } from "./key-rate-limit.ts";
import { maxDurationMs } from "./parse-duration.ts";

const maxTextLength = 128;
/** Ids or patterns that one key may list. */
const maxListLength = 1_000;

/** Rate limits of which one key may have a measure of its own. */
const maxOverrides = 32;

/** Scopes of a key when none are named. */
const defaultScopes: readonly Scope[] = ["list", "read"];

/** How long the old secret of a rotated key stays good unless told otherwise, in milliseconds. */
export const defaultOverlapMs = 3_600_000;

// A lone surrogate cannot be written in UTF-8: what is stored would not be what was sent.
const isPlainText = (text: string): boolean =>
  text.length <= maxTextLength && text.trim() !== "" && !/[\p{Cc}\p{Cs}]/u.test(text);

const TextSchema = v.pipe(
  v.string(),
  v.check(isPlainText, `must be 1 to ${maxTextLength} characters without control characters`),
);

const TenantSchema = v.pipe(v.string(), v.check(isTenantName, `${tenantRule}: 1 to 128 of A-Z a-z 0-9 . _ ~ : -`));

const ScopesSchema: v.GenericSchema<unknown, readonly Scope[]> = v.pipe(
  v.array(oneOf(scopes)),
  v.minLength(1, "must not be empty"),
  v.transform((wanted) => scopes.filter((scope) => wanted.includes(scope))),
);

const ModeSchema: v.GenericSchema<unknown, EnvironmentMode> = oneOf(ceilingModes);

function whole(rule: string): v.GenericSchema<number, number> {
  return v.pipe(
    v.number(),
    v.check((value) => Number.isSafeInteger(value), rule),
  );
}

function list(item: v.GenericSchema<unknown, string>): v.GenericSchema<unknown, readonly string[]> {
  return v.pipe(
    v.array(item),
    v.minLength(1, "must not be empty; without it nothing is restricted"),
    v.maxLength(maxListLength, `must have at most ${maxListLength} entries`),
    v.transform((values) => [...new Set(values)]),
  );
}

const PolicyOverrideSchema = v.pipe(
  v.string(),
  v.check((text) => parsePolicyOverride(text) !== null, policyOverrideRule),
);

/** Measures by the names of policies; which policies there are is a matter of the configuration. */
function rateLimits<Measure>(
  measure: v.GenericSchema<unknown, Measure>,
): v.GenericSchema<unknown, Readonly<Record<string, Measure>>> {
  const name = v.pipe(
    v.string(),
    v.check((text) => /^[\x20-\x7e]{1,64}$/.test(text), "must be named by a policy"),
  );
  return v.pipe(
    v.record(name, measure, "must be an object"),
    v.check((limits) => Object.keys(limits).length <= maxOverrides, `must have at most ${maxOverrides} entries`),
  );
}

const restrictions = {
  deviceIds: v.exactOptional(v.nullable(list(IdentifierSchema))),
  connectionNames: v.exactOptional(v.nullable(list(TextSchema))),
  agentIds: v.exactOptional(v.nullable(list(TextSchema))),
  maxMode: v.exactOptional(v.nullable(ModeSchema)),
  expiresAt: v.exactOptional(v.nullable(whole("must be whole epoch milliseconds"))),
};

const texts = {
  description: v.exactOptional(v.nullable(TextSchema)),
  owner: v.exactOptional(v.nullable(TextSchema)),
};

/** A key that is asked for; the tenant may be left to whoever asks. */
export type RequestedKey = Omit<KeyRequest, "tenant"> & { readonly tenant?: string };

/** {@link RequestedKey}, strict. Whether its end lies ahead is judged by {@link expiryRule}. */
export const RequestedKeySchema: v.GenericSchema<unknown, RequestedKey> = exactObject(
  {
    name: TextSchema,
    tenant: v.exactOptional(TenantSchema),
    scopes: v.exactOptional(ScopesSchema, defaultScopes),
    shared: v.exactOptional(v.boolean()),
    rateLimits: v.exactOptional(v.nullable(rateLimits(PolicyOverrideSchema))),
    ...texts,
    ...restrictions,
  },
  () => "is not a member that can be set",
);

const fixedMembers: ReadonlySet<string> = new Set([
  ...["id", "tenant", "shared", "createdAt", "revokedAt", "disabledAt", "state", "lastUsedAt", "secrets", "key"],
]);

/** {@link KeyPatch}, strict: a member that cannot be changed is an error, never passed over. */
export const KeyPatchSchema: v.GenericSchema<unknown, KeyPatch> = exactObject(
  {
    name: v.exactOptional(TextSchema),
    scopes: v.exactOptional(ScopesSchema),
    disabled: v.exactOptional(v.boolean()),
    rateLimits: v.exactOptional(v.nullable(rateLimits(v.nullable(PolicyOverrideSchema)))),
    ...texts,
    ...restrictions,
  },
  (name) => (fixedMembers.has(name) ? "cannot be changed" : "is not a member of a key"),
);

/** How a key is rotated. */
export interface Rotation {
  /** How long the old secret stays good, in milliseconds. */
  readonly overlapMs: number;
}

/** {@link Rotation}, strict. */
export const RotationSchema: v.GenericSchema<unknown, Rotation> = exactObject(
  {
    overlapMs: v.exactOptional(
      v.pipe(
        whole("must be whole milliseconds"),
        v.check((value) => value >= 0, "must not be negative"),
        v.check((value) => value <= maxDurationMs, "must be at most a hundred years"),
      ),
      defaultOverlapMs,
    ),
  },
  () => "is not a member of a rotation",
);

/** The rule that the end of a key breaks at a time, or `null`. `null` and an absent end are none. */
export function expiryRule(expiresAt: number | null | undefined, nowMs: number): string | null {
  if (expiresAt === null || expiresAt === undefined) return null;
  if (expiresAt > nowMs && expiresAt <= nowMs + maxDurationMs) return null;
  return "must be in the future, and at most a hundred years ahead";
}
