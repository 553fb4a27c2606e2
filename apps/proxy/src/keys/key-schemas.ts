/**
 * The form of keys. The command line and the administration over HTTP apply the same schemas to a new key, a patch and a rotation.
 * `key-rules.ts` checks what concerns several members, or the time.
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
import { exactObject, oneOf } from "../lib/strict-schemas.ts";
import { isTenantName, tenantRule } from "../lib/setting-rules.ts";
import type { InviteRequest, KeyPatch, KeyRequest } from "./key-lifecycle.ts";
import { maxDurationMs, parsePolicyOverride, policyOverrideRule } from "./key-rate-limit.ts";

const maxTextLength = 128;
/** The most ids that one key may list. */
const maxListLength = 1_000;
/** The most patterns that one key may list. Each name that the key meets is matched with all of them. */
const maxPatterns = 50;
/** The most policies that one key may override. */
const maxOverrides = 32;

/** Scopes of a key when none are named. */
const defaultScopes: readonly Scope[] = ["list", "read"];

/** The default for how long the old secret of a rotated key stays valid, in milliseconds. */
export const defaultOverlapMs = 3_600_000;

// A lone surrogate cannot be encoded in UTF-8: the stored text would differ from the sent one.
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

const PolicyOverrideSchema = v.pipe(
  v.string(),
  v.check((text) => parsePolicyOverride(text) !== null, policyOverrideRule),
);

/** Overrides by policy name. The configuration decides which policies exist. */
function rateLimits<Override>(
  override: v.GenericSchema<unknown, Override>,
): v.GenericSchema<unknown, Readonly<Record<string, Override>>> {
  const name = v.pipe(
    v.string(),
    v.check(
      (text) => /^[\x20-\x7e]{1,64}$/.test(text),
      "must have names of policies, of 1 to 64 printable ASCII characters",
    ),
  );
  return v.pipe(
    v.record(name, override, "must be an object"),
    v.check((limits) => Object.keys(limits).length <= maxOverrides, `must have at most ${maxOverrides} entries`),
  );
}

const minDeadlineMs = 1_000;
const maxDeadlineMs = 604_800_000;
const deadlineRule = "must be from one second to seven days";

const restrictions = {
  deviceIds: v.exactOptional(v.nullable(list(IdentifierSchema))),
  connectionNames: v.exactOptional(v.nullable(list(TextSchema, maxPatterns))),
  deviceTags: v.exactOptional(v.nullable(list(TagSchema))),
  agentIds: v.exactOptional(v.nullable(list(TextSchema))),
  maxMode: v.exactOptional(v.nullable(ModeSchema)),
  setMode: v.exactOptional(v.nullable(ModeSchema)),
  deniedTools: v.exactOptional(v.nullable(list(TextSchema, maxPatterns))),
  approvalDeadlineMs: v.exactOptional(
    v.nullable(
      v.pipe(
        whole("must be whole milliseconds"),
        v.check((value) => value >= minDeadlineMs && value <= maxDeadlineMs, deadlineRule),
      ),
    ),
  ),
  expiresAt: v.exactOptional(v.nullable(whole("must be whole epoch milliseconds"))),
};

/** Validates an {@link InviteRequest}. */
const InviteSchema: v.GenericSchema<unknown, InviteRequest> = exactObject(
  {
    expiresAt: whole("must be whole epoch milliseconds"),
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

const texts = {
  description: v.exactOptional(v.nullable(TextSchema)),
  owner: v.exactOptional(v.nullable(TextSchema)),
};

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
    ...texts,
    ...restrictions,
  },
  () => "is not a member that can be set",
);

const fixedMembers: ReadonlySet<string> = new Set([
  ...["id", "invite", "createdAt", "revokedAt", "disabledAt", "state", "lastUsedAt", "secrets", "key"],
]);

/** Why a key stays in its tenant. */
const tenantChangeRule =
  "cannot be changed, because the devices and the audit records of a key belong to its tenant; create another key";

/** Validates a {@link KeyPatch}. A member that cannot be changed is an error, so that no patch is applied in part. */
export const KeyPatchSchema: v.GenericSchema<unknown, KeyPatch> = exactObject(
  {
    name: v.exactOptional(TextSchema),
    scopes: v.exactOptional(ScopesSchema),
    shared: v.exactOptional(v.boolean()),
    disabled: v.exactOptional(v.boolean()),
    rateLimits: v.exactOptional(v.nullable(rateLimits(v.nullable(PolicyOverrideSchema)))),
    ...texts,
    ...restrictions,
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
