/**
 * Schemas for keys. The command line and the administration over HTTP apply the same schemas to a new key, a patch and a rotation.
 * `key-rules.ts` has the rules that involve several members or the time.
 */
import {
  ceilingModes,
  type EnvironmentMode,
  IdentifierSchema,
  maxTags,
  type Scope,
  scopes,
  sortTags,
  TagSchema,
} from "@letta-environments/schema";
import * as v from "valibot";
import { exactObject, numberIn, oneOf, record } from "../lib/strict-schemas.ts";
import { isTenantName, tenantRule } from "../lib/setting-rules.ts";
import type { InviteRequest, KeyPatch, KeyRequest } from "./key-lifecycle.ts";
import { maxDurationMs, parsePolicyOverride, policyOverrideRule } from "./key-rate-limit.ts";

/** The longest name, owner, description or pattern of a key, in UTF-16 code units. */
export const maxTextLength = 128;
/** The most ids that one key may list. */
const maxListLength = 1_000;
/** The most patterns that one key may list. Each device name is matched against all of them. */
const maxPatterns = 50;
/** The most policies that one key may override. */
const maxOverrides = 32;

const defaultScopes: readonly Scope[] = ["list", "read"];

/** The default for how long the old secret of a rotated key stays valid, in milliseconds. */
export const defaultOverlapMs = 3_600_000;

/**
 * Whether a text can be a name, an owner, a description or a pattern of a key. A lone surrogate cannot be encoded in UTF-8: the stored text would differ
 * from the sent one.
 */
export const isPlainText = (text: string): boolean =>
  text.length <= maxTextLength && text.trim() !== "" && !/[\p{Cc}\p{Cs}]/u.test(text);

const TextSchema = v.pipe(
  v.string(),
  v.check(isPlainText, `must be 1 to ${maxTextLength} characters without control characters, and not blank`),
);

const TenantSchema = v.pipe(v.string(), v.check(isTenantName, tenantRule));

const ScopesSchema: v.GenericSchema<unknown, readonly Scope[]> = v.pipe(
  v.array(oneOf(scopes)),
  v.minLength(1, "must not be empty"),
  v.transform((wanted) => scopes.filter((scope) => wanted.includes(scope))),
);

const ModeSchema: v.GenericSchema<unknown, EnvironmentMode> = oneOf(ceilingModes);

/** A time in epoch milliseconds. `key-rules.ts` compares it with the current time. */
const TimeSchema = numberIn(0, Number.MAX_SAFE_INTEGER, "must be whole epoch milliseconds");

function list(
  item: v.GenericSchema<unknown, string>,
  maxLength: number = maxListLength,
): v.GenericSchema<unknown, readonly string[]> {
  return v.pipe(
    v.array(item),
    v.minLength(1, "must not be empty; without it nothing is restricted"),
    v.maxLength(maxLength, `must have at most ${maxLength} entries`),
    v.transform((values) => [...new Set(values)]),
  );
}

/** Whether a text is an override of a policy. */
export const isPolicyOverride = (text: string): boolean => parsePolicyOverride(text) !== null;

const PolicyOverrideSchema = v.pipe(v.string(), v.check(isPolicyOverride, policyOverrideRule));

/** Whether a text can be the name of a policy. The configuration decides which policies exist. */
export const isPolicyName = (text: string): boolean => /^[\x20-\x7e]{1,64}$/.test(text);

const policyNameRule = "must have names of policies, of 1 to 64 printable ASCII characters";

function rateLimits<Override>(
  override: v.GenericSchema<unknown, Override>,
): v.GenericSchema<unknown, Readonly<Record<string, Override>>> {
  return v.pipe(
    record(v.pipe(v.string(), v.check(isPolicyName, policyNameRule)), override),
    v.maxEntries(maxOverrides, `must have at most ${maxOverrides} entries`),
  );
}

const minDeadlineMs = 1_000;
const maxDeadlineMs = 604_800_000;
const deadlineRule = "must be whole milliseconds, from one second to seven days";

/** Optional members of a new key and of a patch. */
const members = {
  description: v.exactOptional(v.nullable(TextSchema)),
  owner: v.exactOptional(v.nullable(TextSchema)),
  deviceIds: v.exactOptional(v.nullable(list(IdentifierSchema))),
  connectionNames: v.exactOptional(v.nullable(list(TextSchema, maxPatterns))),
  deviceTags: v.exactOptional(v.nullable(list(TagSchema))),
  agentIds: v.exactOptional(v.nullable(list(TextSchema))),
  maxMode: v.exactOptional(v.nullable(ModeSchema)),
  setMode: v.exactOptional(v.nullable(ModeSchema)),
  deniedTools: v.exactOptional(v.nullable(list(TextSchema, maxPatterns))),
  approvalDeadlineMs: v.exactOptional(v.nullable(numberIn(minDeadlineMs, maxDeadlineMs, deadlineRule))),
  expiresAt: v.exactOptional(v.nullable(TimeSchema)),
};

const InviteSchema: v.GenericSchema<unknown, InviteRequest> = exactObject(
  {
    expiresAt: TimeSchema,
    tags: v.exactOptional(
      v.pipe(
        v.array(TagSchema),
        v.maxLength(maxTags, `must have at most ${maxTags} tags`),
        v.transform((tags): string[] => [...sortTags(tags)]),
      ),
    ),
  },
  () => "is not a member of an invitation",
);

/** A request for a new key. Without a tenant, the key belongs to the tenant of the administrator. */
export type RequestedKey = Omit<KeyRequest, "tenant"> & { readonly tenant?: string };

/** Validates a {@link RequestedKey}, without other members. */
export const RequestedKeySchema: v.GenericSchema<unknown, RequestedKey> = exactObject(
  {
    name: TextSchema,
    tenant: v.exactOptional(TenantSchema),
    scopes: v.exactOptional(ScopesSchema, defaultScopes),
    shared: v.exactOptional(v.boolean()),
    invite: v.exactOptional(v.nullable(InviteSchema)),
    rateLimits: v.exactOptional(v.nullable(rateLimits(PolicyOverrideSchema))),
    ...members,
  },
  () => "is not a member that can be set",
);

const fixedMembers: ReadonlySet<string> = new Set([
  ...["id", "invite", "createdAt", "revokedAt", "disabledAt", "state", "lastUsedAt", "secrets", "key"],
]);

const tenantChangeRule =
  "cannot be changed, because the devices and the audit records of a key belong to its tenant; create another key";

/** Validates a {@link KeyPatch}. A member that cannot be changed is an error, so that no patch is applied partly. */
export const KeyPatchSchema: v.GenericSchema<unknown, KeyPatch> = exactObject(
  {
    name: v.exactOptional(TextSchema),
    scopes: v.exactOptional(ScopesSchema),
    shared: v.exactOptional(v.boolean()),
    disabled: v.exactOptional(v.boolean()),
    rateLimits: v.exactOptional(v.nullable(rateLimits(v.nullable(PolicyOverrideSchema)))),
    ...members,
  },
  (name) => {
    if (name === "tenant") return tenantChangeRule;
    return fixedMembers.has(name) ? "cannot be changed" : "is not a member of a key";
  },
);

/** A request to rotate a key. */
export interface Rotation {
  /** How long the old secret stays valid, in milliseconds. */
  readonly overlapMs: number;
}

/** Validates a {@link Rotation}, without other members. */
export const RotationSchema: v.GenericSchema<unknown, Rotation> = exactObject(
  {
    overlapMs: v.exactOptional(
      numberIn(0, maxDurationMs, "must be whole milliseconds, at most a hundred years"),
      defaultOverlapMs,
    ),
  },
  () => "is not a member of a rotation",
);
