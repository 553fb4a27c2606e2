/**
 * Key records: what the gateway stores of a key. A record is JSON by key id, with the same format in every store. Records of
 * older versions can be read, and members that newer versions add survive every change.
 */
import { type ApprovalPolicy, ceilingModes, type EnvironmentMode, type Scope } from "@letta-environments/schema";
import * as v from "valibot";
import { parseJson } from "../lib/json.ts";
import { type KeyRateLimits, parsePolicyOverride } from "./key-rate-limit.ts";

/** A stored gateway key, without the key itself, which is shown only once. Times are epoch milliseconds. */
export interface KeyRecord extends KeyRestrictions {
  /** Public id: the part of the key that may be shown and logged. It stays the same when the key is rotated. */
  readonly id: string;
  readonly name: string;
  /** The holder of the key, as environments show it. */
  readonly owner: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: number;
  /** When the key was revoked, which is permanent. */
  readonly revokedAt: number | null;
  /** When the key was disabled, which can be undone. */
  readonly disabledAt: number | null;
  /** The newest first; two during the overlap of a rotation. */
  readonly secrets: readonly KeySecret[];
}

/** The optional members of a new key; {@link unrestricted} has their defaults. Times are epoch milliseconds. */
export interface KeyRestrictions {
  /** The purpose of the key, in words. */
  readonly description: string | null;
  /** Devices that the key may see, message or enrol, by id. With `connectionNames` also `null`: every device of the tenant. */
  readonly deviceIds: readonly string[] | null;
  /** The same, by patterns of their names in which `*` matches any run of characters. */
  readonly connectionNames: readonly string[] | null;
  /** In addition to the lists above, a device must have at least one of these tags; `null`: no such rule. */
  readonly deviceTags: readonly string[] | null;
  /** The only agents that the key may send to; `null` means every agent. */
  readonly agentIds: readonly string[] | null;
  /** The freest mode that a device may be in when the key sends to it; `null` means any. */
  readonly maxMode: EnvironmentMode | null;
  /** The mode to which a conversation is switched before a message of the key runs in it; `null`: it keeps its own. */
  readonly setMode: EnvironmentMode | null;
  /** Tools that are denied without a request to anybody, in turns of the key's messages and on its devices; `null`: none. */
  readonly deniedTools: readonly string[] | null;
  /** How long a request for permission waits there before it is denied, in milliseconds; `null`: until somebody decides. */
  readonly approvalDeadlineMs: number | null;
  /** Another key may later enrol the devices that this key enrols. */
  readonly shared: boolean;
  /** Makes the key an invitation, which belongs to the first device that uses it; `null`: the key is not an invitation. */
  readonly invite: KeyInvite | null;
  /** Rate limits that differ from the configuration's for this key; `null` means none. */
  readonly rateLimits: KeyRateLimits | null;
  /**
   * Names of features that a process must support to enforce the key, such as a kind of restriction that older versions do not
   * know. A process refuses a key that names another feature, so that it never treats a restricted key as unrestricted.
   */
  readonly requires: readonly string[];
  readonly expiresAt: number | null;
}

/** An invitation: a `connect` key whose first device becomes its only one. */
export interface KeyInvite {
  /** When the key ends if no device has used it, in epoch milliseconds. */
  readonly expiresAt: number;
  /** Tags that a device gets when the key becomes its owner. */
  readonly tags: readonly string[];
  /** When the first device used it, in epoch milliseconds; `null`: none has. */
  readonly usedAt: number | null;
  /**
   * Patterns of the names under which its device may register after the first use; before that, the key's own patterns apply.
   * `null`: any name. Earlier versions forgot the patterns with the first use.
   */
  readonly connectionNames: readonly string[] | null;
}

/** One accepted secret of a key. */
export interface KeySecret {
  /** HMAC-SHA-256 of the whole key under the pepper, in hex. */
  readonly digest: string;
  /** The pepper that made the digest. */
  readonly pepperId: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  /**
   * `link`: the secret of a sign-in link, which authenticates nothing and is exchanged once for a session. `session`: the secret of a
   * web page that has signed in. Absent: an ordinary secret.
   */
  readonly use?: "link" | "session";
}

/** The members of a key that nothing restricts and no text describes. */
export const unrestricted: KeyRestrictions = {
  description: null,
  deviceIds: null,
  connectionNames: null,
  deviceTags: null,
  agentIds: null,
  maxMode: null,
  setMode: null,
  deniedTools: null,
  approvalDeadlineMs: null,
  shared: false,
  invite: null,
  rateLimits: null,
  requires: [],
  expiresAt: null,
};

/** Identifies a secret of a key in memory and in logs: the first 64 bits of its digest, which do not reveal the rest. */
export function credentialIdOf(secret: Pick<KeySecret, "digest">): string {
  return secret.digest.slice(0, 16);
}

/** Identifies a key together with one of its secrets, as one text. */
export function credentialOf(credential: { readonly keyId: string; readonly credentialId?: string | null }): string {
  return `${credential.keyId} ${credential.credentialId ?? ""}`;
}

/** The features that this version can enforce, by their names in {@link KeyRecord.requires}, and which keys need them. */
const features: Readonly<Record<string, (record: KeyRecord) => boolean>> = {
  "device-tags": ({ deviceTags }) => deviceTags !== null,
  "set-mode": ({ setMode }) => setMode !== null,
  "approval-policy": (record) => approvalPolicyOfKey(record) !== null,
  // Older versions would accept any device, later one of any name, and the secret of a link as an ordinary one.
  invite: isUnused,
  "invite-names": ({ invite }) => (invite?.connectionNames ?? null) !== null,
  "sign-in-link": ({ secrets }) => secrets.some(({ use }) => use === "link"),
};

/** Returns the key's own policy for requests for permission that nobody decides; `null` if it has none. */
export function approvalPolicyOfKey({
  deniedTools,
  approvalDeadlineMs,
}: Pick<KeyRecord, "deniedTools" | "approvalDeadlineMs">): ApprovalPolicy | null {
  if (deniedTools === null && approvalDeadlineMs === null) return null;
  return { deniedTools: deniedTools ?? [], deadlineMs: approvalDeadlineMs };
}

/** Returns a key with the features that its restrictions require. Features that it required before are kept. */
export function withRequirements(record: KeyRecord): KeyRecord {
  const needed = Object.entries(features).flatMap(([feature, isNeeded]) => (isNeeded(record) ? [feature] : []));
  const requires = [...record.requires.filter(isUnknown), ...needed];
  return requires.join() === record.requires.join() ? record : { ...record, requires };
}

/** Whether a key is an invitation that no device has used. */
export function isUnused({ invite }: Pick<KeyRecord, "invite">): boolean {
  return invite !== null && invite.usedAt === null;
}

/** When a key ends, in epoch milliseconds; `null`: never. An unused invitation may end earlier. */
export function endOf(record: Pick<KeyRecord, "expiresAt" | "invite">): number | null {
  const { expiresAt, invite } = record;
  return invite !== null && isUnused(record) ? earliest(expiresAt, invite.expiresAt) : expiresAt;
}

/** Returns the earliest of some times; `null` stands for never. */
export function earliest(...times: readonly (number | null)[]): number | null {
  const first = Math.min(...times.map((time) => time ?? Infinity));
  return first === Infinity ? null : first;
}

const isUnknown = (feature: string): boolean => !Object.hasOwn(features, feature);

/**
 * Returns what this version cannot enforce of a key: the features that it requires and this version does not support, and the rate limits that it
 * cannot read. Such a key is refused.
 */
export function unsupportedFeatures({ requires, rateLimits }: KeyRecord): readonly string[] {
  const unreadable = Object.values(rateLimits ?? {}).filter((text) => parsePolicyOverride(text) === null);
  return [...requires.filter(isUnknown), ...unreadable];
}

/** The place of a key in a list. */
export type KeyPlace = Pick<KeyRecord, "id" | "createdAt">;

/** Orders keys by creation, then by id, for `Array.prototype.toSorted`. */
export function byCreation(left: KeyPlace, right: KeyPlace): number {
  if (left.createdAt !== right.createdAt) return left.createdAt - right.createdAt;
  return left.id < right.id ? -1 : 1;
}

/** Selects the first keys of a list. */
export interface KeyQuery {
  /** The id of a stored key: only keys that follow it, and none if it is not stored. `undefined`: from the first one. */
  readonly after: string | undefined;
  /** At least 1. A store may end its list with a key for which {@link createPageRoom} has no room. */
  readonly limit: number;
  readonly matches: (record: KeyRecord) => boolean;
  /** Only keys of this tenant match, so that a store need not read the others. `undefined`: any. */
  readonly tenant?: string | undefined;
}

/** The most characters of records on a page of a list, unless the first record alone is longer. */
const maxPageLength = 512 * 1024;

/** Returns a function that says, of one key after the other, whether a page still has room for it. The first key always has. */
export function createPageRoom(limit: number): (key: KeyRecord) => boolean {
  let [count, length] = [0, 0];
  return (key) => {
    count += 1;
    length += JSON.stringify(key).length;
    return count === 1 || (count <= limit && length <= maxPageLength);
  };
}

/** Applies a query to the list of all keys, for a store in memory. */
export function selectKeys(keys: readonly KeyRecord[], query: KeyQuery | undefined): readonly KeyRecord[] {
  if (query === undefined) return keys;
  const { after, limit, matches, tenant } = query;
  const start = keys.findIndex(({ id }) => id === after) + 1;
  if (start === 0 && after !== undefined) return [];
  const own = (record: KeyRecord): boolean => tenant === undefined || record.tenant === tenant;
  const rest = keys.slice(start).filter((record) => own(record) && matches(record));
  const found = rest.slice(0, limit);
  const hasRoom = createPageRoom(limit);
  const end = found.findIndex((record) => !hasRoom(record));
  return end === -1 ? found : found.slice(0, end + 1);
}

/** A summary of all keys. It grows with tenants and peppers, not with the number or the length of the records. */
export interface KeySummary {
  readonly isEmpty: boolean;
  /** The tenants with a live key, and whether one of those keys can call a remote upstream. */
  readonly live: ReadonlyMap<string, boolean>;
  /** The peppers of the digests. */
  readonly pepperIds: ReadonlySet<string>;
}

/** Scopes of requests to a remote upstream. */
export const callerScopes: readonly Scope[] = ["list", "read", "send"];

/** Whether a key can call a remote upstream, now or once it is enabled again. `null`: it has ended. */
export function callsUpstream({ revokedAt, expiresAt, scopes }: KeyRecord, nowMs: number): boolean | null {
  if (revokedAt !== null || (expiresAt !== null && nowMs >= expiresAt)) return null;
  return scopes.some((scope) => callerScopes.includes(scope));
}

/** A summary to which keys can be added. */
export interface OpenSummary {
  readonly summary: KeySummary;
  /** Adds a key. `calls` is the result of {@link callsUpstream}. */
  add(tenant: string, calls: boolean | null, peppers: readonly string[]): void;
}

/** Creates a summary of no keys. */
export function createSummary(): OpenSummary {
  const live = new Map<string, boolean>();
  const pepperIds = new Set<string>();
  const summary = { isEmpty: true, live, pepperIds };
  return {
    summary,
    add(tenant, calls, peppers) {
      summary.isEmpty = false;
      if (calls !== null) live.set(tenant, calls || live.get(tenant) === true);
      for (const id of peppers) pepperIds.add(id);
    },
  };
}

/** Reads every key, and remembers none of them. */
export async function summarizeKeys(list: (query: KeyQuery) => Promise<unknown>, nowMs: number): Promise<KeySummary> {
  const { summary, add } = createSummary();
  const matches = (record: KeyRecord): boolean => {
    const peppers = record.secrets.map(({ pepperId }) => pepperId);
    add(record.tenant, callsUpstream(record, nowMs), peppers);
    return false;
  };
  await list({ after: undefined, limit: Infinity, matches });
  return summary;
}

/** Parses a stored record. Returns `null` when it is damaged: not JSON, not a key record, or the record of another key. */
export function readKeyRecord(
  id: string,
  json: string,
  onDamaged: (id: string) => void = () => undefined,
): KeyRecord | null {
  const result = v.safeParse(KeyRecordSchema, parseJson(json));
  if (result.success && result.output.id === id) return result.output;
  onDamaged(id);
  return null;
}

/**
 * Applies a change to a stored record. The only change that a damaged record accepts is its revocation. It replaces the record
 * with a readable one that has no tenant, no rights and no secrets, since nothing in the damaged record can be trusted.
 *
 * @throws KeyRecordDamagedError at any other change of a damaged record.
 */
export function changeKeyRecord(id: string, json: string, change: (record: KeyRecord) => KeyRecord): KeyRecord {
  const record = readKeyRecord(id, json);
  if (record !== null) return change(record);
  const changed = change(damagedRecord(id));
  if (changed.revokedAt === null) throw new KeyRecordDamagedError(id);
  return changed;
}

/** The stored record of a key cannot be read. The error names the key and contains no part of the record. */
export class KeyRecordDamagedError extends Error {
  override readonly name = "KeyRecordDamagedError";
  readonly keyId: string;

  constructor(keyId: string) {
    super(`the stored record of the key ${keyId} is damaged`);
    this.keyId = keyId;
  }
}

const TimeSchema = v.pipe(
  v.number(),
  v.check((time: number) => Number.isFinite(time)),
);
const EndSchema = v.nullable(TimeSchema);
const ListSchema = v.nullable(v.array(v.string()));

/** A member that older versions did not write restricts nothing. Members that newer versions add are kept. */
const KeyRecordSchema = v.looseObject({
  id: v.string(),
  name: v.string(),
  description: v.exactOptional(v.nullable(v.string()), null),
  owner: v.string(),
  tenant: v.string(),
  // An unknown scope allows nothing. An unknown mode could not be enforced.
  scopes: v.array(v.custom<Scope>((scope) => typeof scope === "string")),
  deviceIds: ListSchema,
  connectionNames: v.exactOptional(ListSchema, null),
  deviceTags: v.exactOptional(ListSchema, null),
  agentIds: v.exactOptional(ListSchema, null),
  maxMode: v.exactOptional(v.nullable(v.picklist<readonly EnvironmentMode[]>(ceilingModes)), null),
  setMode: v.exactOptional(v.nullable(v.picklist<readonly EnvironmentMode[]>(ceilingModes)), null),
  deniedTools: v.exactOptional(ListSchema, null),
  approvalDeadlineMs: v.exactOptional(EndSchema, null),
  shared: v.boolean(),
  invite: v.exactOptional(
    v.nullable(
      v.looseObject({
        expiresAt: TimeSchema,
        tags: v.array(v.string()),
        usedAt: EndSchema,
        connectionNames: v.exactOptional(ListSchema, null),
      }),
    ),
    null,
  ),
  rateLimits: v.exactOptional(v.nullable(v.record(v.string(), v.string())), null),
  requires: v.exactOptional(v.array(v.string()), []),
  createdAt: TimeSchema,
  expiresAt: EndSchema,
  revokedAt: EndSchema,
  disabledAt: v.exactOptional(EndSchema, null),
  secrets: v.array(
    v.looseObject({
      digest: v.string(),
      pepperId: v.string(),
      createdAt: TimeSchema,
      expiresAt: EndSchema,
      use: v.exactOptional(v.picklist(["link", "session"])),
    }),
  ),
});

function damagedRecord(id: string): KeyRecord {
  return {
    ...unrestricted,
    id,
    name: "damaged record",
    owner: "",
    tenant: "",
    scopes: [],
    deviceIds: [],
    agentIds: [],
    createdAt: 0,
    revokedAt: null,
    disabledAt: null,
    secrets: [],
  };
}

/** The actor that changes a key, as the audit log names it. */
export type KeyActor =
  /** A gateway key of scope `admin`. */
  | { readonly kind: "key"; readonly keyId: string; readonly tenant: string }
  /** A `letta-proxy` command on the machine, with the name of the system user if it is known. */
  | { readonly kind: "command-line"; readonly user: string | null }
  /** The gateway itself: at its first start, or the program that contains it. */
  | { readonly kind: "start" }
  /** The operator, by `ADMIN_TOKEN`: on the separate listener, or on Workers on the main one. */
  | { readonly kind: "admin-listener" };
