/** The permissions of open sockets: those that their keys and tokens give now, and whether the sockets may stay open with them. */
import type { ConnectedDevice, ConnectedViewer } from "@letta-environments/environment-server";
import {
  allowsDevice,
  type ApprovalPolicy,
  type DeviceAllowlist,
  modeCeiling,
  type Principal,
} from "@letta-environments/schema";
import { isDeepEqual } from "../lib/deep-equal.ts";
import type { HasExpired } from "../ports.ts";
import { keyState } from "./key-lifecycle.ts";
import type { KeyRateLimits } from "./key-rate-limit.ts";
import {
  approvalPolicyOfKey,
  credentialIdOf,
  credentialOf,
  earliest,
  type KeyRecord,
  type KeySecret,
} from "./key-record.ts";

/** The device or the viewer that has an open socket, and the credential that opened it. */
export type SocketHolder = ConnectedDevice | ConnectedViewer;

/** The permissions of a caller that the configuration can change. */
export type ConfiguredPermissions = Pick<
  Principal,
  | "tenant"
  | "keyId"
  | "deviceIds"
  | "connectionNames"
  | "deviceTags"
  | "agentIds"
  | "maxMode"
  | "modeCeiling"
  | "approvalPolicy"
>;

/** Returns the permissions under the configuration, given the permissions that the credential alone gives. */
export type ConfigurePermissions = <Permissions extends ConfiguredPermissions>(own: Permissions) => Permissions;

/** The rules of the configuration that open sockets obey. */
export interface CurrentRules {
  readonly tenants: ReadonlyMap<string, DeviceAllowlist>;
  readonly configure: ConfigurePermissions;
}

/** The permissions that a socket of a viewer is opened with, and the rate limits of its key. */
export interface Permissions extends ConfiguredPermissions, Pick<Principal, "scopes" | "setMode"> {
  readonly rateLimits?: KeyRateLimits | null;
}

/** Whether a viewer has the socket; otherwise a device has it. */
export function isViewer(holder: SocketHolder): holder is ConnectedViewer {
  return "principal" in holder;
}

/** Whether credentials with these permissions may keep their socket under the configuration. */
function allowsSocket(own: Permissions, holder: SocketHolder, { tenants, configure }: CurrentRules): boolean {
  // Otherwise a device in shadow mode would connect, be closed, and reconnect immediately.
  const configured = configure(own);
  if (isViewer(holder) && !isDeepEqual(comparable(configured), comparable(holder.principal))) return false;
  // Tags are checked where a row is read: at registration, at the upgrade, by `socket-tags.ts`, and for each frame of a viewer.
  return allowsDevice({ ...configured, deviceTags: null, tenantDevices: tenants.get(holder.tenant) ?? null }, holder);
}

/** The permissions only, with absent members filled in. */
function comparable(permissions: Permissions): object {
  const { scopes, deviceIds, connectionNames, deviceTags = null, agentIds, maxMode, setMode = null } = permissions;
  const { approvalPolicy = null, rateLimits = null } = permissions;
  const modes = { maxMode, setMode, ceiling: modeCeiling(permissions) };
  return { scopes, deviceIds, connectionNames, deviceTags, agentIds, modes, approvalPolicy, rateLimits };
}

/** Whether the socket of a device was opened under the current approval policy. For a viewer, the policy is one of its permissions. */
function hasSamePolicy(
  own: Permissions,
  holder: SocketHolder,
  { configure }: Pick<CurrentRules, "configure">,
): boolean {
  return isViewer(holder) || isDeepEqual(effectOf(configure(own).approvalPolicy), effectOf(holder.approvalPolicy));
}

/** The effect of a policy, without the order of its tools. A policy that denies nothing is equal to no policy. */
function effectOf(policy: ApprovalPolicy | null | undefined): object {
  return { deniedTools: new Set(policy?.deniedTools), deadlineMs: policy?.deadlineMs ?? null };
}

/** The permissions that the credential of a socket gives now, `null` if none, and when it expires. */
export function presentRights(
  tokens: SocketTokens,
  records: ReadonlyMap<string, KeyRecord | null>,
  holder: SocketHolder,
  nowMs: number,
): Rights {
  const token = tokens.find(holder);
  if (token !== undefined) return { own: token, expiresAt: token.credentialExpiresAt };
  const record = records.get(holder.keyId) ?? null;
  return { own: permissionsOfKey(record, holder, nowMs), expiresAt: expiryOfKey(record, holder) };
}

/** The permissions of the key of a socket; `null` when the key, or the secret that opened the socket, has ended. */
function permissionsOfKey(record: KeyRecord | null, holder: SocketHolder, nowMs: number): Permissions | null {
  const isValid =
    record !== null &&
    secretOf(record, holder) !== undefined &&
    keyState(record, nowMs) === "active" &&
    record.tenant === holder.tenant &&
    (isViewer(holder) || record.scopes.includes("connect"));
  if (!isValid) return null;
  const { id, scopes, ...members } = record;
  return { ...members, keyId: id, scopes: new Set(scopes), approvalPolicy: approvalPolicyOfKey(record) };
}

/** When the key of a socket or the secret that opened it expires, in epoch milliseconds; `null` when neither does, or the key is not known. */
function expiryOfKey(record: KeyRecord | null, holder: SocketHolder): number | null {
  return record === null ? null : earliest(record.expiresAt, secretOf(record, holder)?.expiresAt ?? null);
}

/** The secret that opened a socket; `undefined` when a rotation has replaced it. */
function secretOf({ secrets }: KeyRecord, { credentialId }: SocketHolder): KeySecret | undefined {
  return secrets.find((secret) => credentialIdOf(secret) === credentialId);
}

/** The members of a principal or of the holder of a socket that name the credential of a socket. */
type SocketCredential = Pick<Principal, "keyId" | "credentialId">;

/** A principal that was authenticated by a token. */
type TokenPrincipal = Principal & Required<Pick<Principal, "credentialExpiresAt">>;

/**
 * The principals of the open sockets that were authenticated with a token. A token has no record that could be read again, so its principal is kept
 * as long as one of its sockets is open. When the settings for tokens change, all are forgotten: their sockets are closed, and devices and viewers
 * reconnect under the new settings.
 */
export interface SocketTokens {
  /**
   * Returns a function that remembers the principal of a token as it was before the configuration was applied. Call it when the
   * socket opens. It does nothing when the principal was authenticated by a key, or when the settings changed during the handshake.
   */
  prepare(principal: Principal): () => void;
  find(holder: SocketCredential): TokenPrincipal | undefined;
  /** Forgets every token after a change of the settings, and returns whether there was one. */
  forgetAfterChange(): boolean;
  /** Forgets the tokens without a socket. */
  retain(holders: readonly SocketCredential[]): void;
}

/**
 * Creates {@link SocketTokens}.
 *
 * @param tokenSettings Compared by value; `null`: tokens are not accepted.
 * @param asAuthenticated Returns a caller with the permissions that its credential alone gives. Default: unchanged.
 */
export function createSocketTokens(
  tokenSettings: () => object | null,
  asAuthenticated: (principal: Principal) => Principal = (principal) => principal,
): SocketTokens {
  const tokens = new Map<string, TokenPrincipal>();
  let settings = tokenSettings();
  return {
    prepare(principal) {
      const before = tokenSettings();
      const token = asAuthenticated(principal);
      return () => {
        if (isTokenPrincipal(token) && isDeepEqual(before, tokenSettings())) tokens.set(credentialOf(token), token);
      };
    },
    find: (holder) => tokens.get(credentialOf(holder)),
    forgetAfterChange() {
      const current = tokenSettings();
      // A reload of other settings gives an equal value.
      const isChanged = current !== settings && !isDeepEqual(current, settings);
      settings = current;
      if (isChanged) tokens.clear();
      return isChanged;
    },
    retain(holders) {
      const credentials = new Set(holders.map(credentialOf));
      for (const credential of tokens.keys()) if (!credentials.has(credential)) tokens.delete(credential);
    },
  };
}

function isTokenPrincipal(principal: Principal): principal is TokenPrincipal {
  return principal.credentialExpiresAt !== undefined;
}

/** The permissions of a socket's key or token, `null` when it has ended, and when it expires. */
export interface Rights {
  readonly own: Permissions | null;
  readonly expiresAt: number | null;
}

/** Sockets by what happens to them. */
interface SortedSockets {
  readonly ended: ReadonlySet<SocketHolder>;
  readonly changed: ReadonlySet<SocketHolder>;
  readonly open: ReadonlyMap<SocketHolder, Permissions>;
  /** When the credentials of the open ones expire. */
  readonly ends: ReadonlyMap<string, number | null>;
}

/** Sorts sockets into those that are not permitted any more, those whose policy changed, and those that stay open. */
export function sortSockets(
  holders: readonly SocketHolder[],
  rules: CurrentRules,
  hasExpired: HasExpired,
  rightsOf: (holder: SocketHolder) => Rights,
): SortedSockets {
  const [ended, changed] = [new Set<SocketHolder>(), new Set<SocketHolder>()];
  const open = new Map<SocketHolder, Permissions>();
  const ends = new Map<string, number | null>();
  for (const holder of holders) {
    const credential = credentialOf(holder);
    const { own, expiresAt } = rightsOf(holder);
    if (hasExpired(credential, expiresAt) || own === null || !allowsSocket(own, holder, rules)) ended.add(holder);
    else if (!hasSamePolicy(own, holder, rules)) changed.add(holder);
    else {
      open.set(holder, own);
      ends.set(credential, expiresAt);
    }
  }
  return { ended, changed, open, ends };
}
