/**
 * Invitations: `connect` keys that belong to the first device that uses them. The key store decides which device is the first, in one
 * atomic change of the key, so that of two devices that register at the same time, even with different processes, only one is accepted.
 */
import type { DeviceRow } from "@letta-environments/environment-server";
import {
  allowsDevice,
  ChangeRefusedError,
  type DeviceIdentity,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { type GatewayPrincipal, invalidKey } from "./authentication.ts";
import type { GatewayPorts, KeyStoreFor } from "../ports.ts";
import { keyState } from "../keys/key-lifecycle.ts";
import { isUnused, type KeyRecord, withRequirements } from "../keys/key-record.ts";
import type { Refusal } from "../lib/steps.ts";

/**
 * Registers a device with `register`. If the principal is an unused invitation, the device claims it first, and the invitation is used
 * once the server has accepted the device. A refusal of the server ends the claim; after an unknown outcome it stays until the invitation
 * ends. Other principals register unchanged.
 */
export type RegisterInvited = (
  principal: GatewayPrincipal,
  device: DeviceIdentity,
  register: (principal: GatewayPrincipal) => Promise<PlainResponse>,
) => Promise<PlainResponse>;

/** Dependencies of a {@link RegisterInvited}. */
export interface InvitationOptions extends Pick<GatewayPorts, "clock" | "keyStore"> {
  /** Audits the change; absent: it is not audited. */
  readonly keyStoreFor?: KeyStoreFor | undefined;
  /** Resolves with the rows that a device of the principal's tenant has. */
  readonly findRows: (principal: GatewayPrincipal, deviceId: string) => Promise<readonly DeviceRow[]>;
}

/** Creates a {@link RegisterInvited}. A change that is refused, or cannot be audited, rejects with a `ChangeRefusedError`. */
export function createRegisterInvited({
  clock,
  keyStore,
  keyStoreFor = () => keyStore,
  findRows,
}: InvitationOptions): RegisterInvited {
  return async (principal, device, register) => {
    const { keyId, tenant, invite } = principal;
    if (invite === undefined) return register(principal);
    if (invite.usedAt !== null) return registerAgain(principal, device, register);
    const decide = (record: KeyRecord): Decision => decideClaim(record, device, clock.now());
    // A refusal is not a change, and is not audited as an attempted one.
    const current = await keyStore.find(keyId);
    const decision: Decision = current === null ? { kind: "refused", response: invalidKey } : decide(current);
    if (decision.kind === "refused") return decision.response;
    const refusal = refuseDevice(principal, device, await findRows(principal, device.deviceId));
    if (refusal !== null) return refusal;
    const keys = keyStoreFor({ kind: "key", keyId, tenant });
    const claimed = await keys.update(keyId, (record) => {
      const final = decide(record);
      if (final.kind === "refused") throw new ChangeRefusedError(final.response);
      return final.record;
    });
    // An id in the allowlist would let the device take over rows whose names are not allowed, so with names no id is added.
    const limits = principal.connectionNames === null ? { deviceIds: [device.deviceId] } : {};
    const response = await register({ ...principal, ...limits });
    if (claimed !== null && isUnused(claimed)) {
      if (response.status === 200) await keys.update(keyId, (record) => useInvite(record, device, clock.now()));
      else if (isRefusal(response) && isFirst(claimed)) await keys.update(keyId, endClaim);
    }
    return response;
  };
}

/** Whether the server has certainly not enrolled the device. With 499 the caller has gone, and the registration may continue. */
function isRefusal({ status }: PlainResponse): boolean {
  return status >= 400 && status < 499;
}

/** Refuses a device, before it claims an invitation, for what the server would refuse: its tenant, its owner, or its other names. */
function refuseDevice(
  principal: GatewayPrincipal,
  device: DeviceIdentity,
  rows: readonly DeviceRow[],
): PlainResponse | null {
  if (!allowsDevice(principal, device)) return problemResponse("device_not_allowed");
  if (rows.some(({ ownerKeyId }) => ownerKeyId !== null && ownerKeyId !== principal.keyId)) {
    return problemResponse("device_owned_by_another_key");
  }
  return hasOtherName(principal, rows) ? problemResponse("device_not_allowed") : null;
}

/** Whether a device that no key owns has a name that the principal may not use. The key that enrols it takes over these rows. */
function hasOtherName({ connectionNames }: GatewayPrincipal, rows: readonly DeviceRow[]): boolean {
  return rows.some((row) => row.ownerKeyId === null && !allowsDevice({ deviceIds: null, connectionNames }, row));
}

/**
 * The names under which a used invitation may register its device; `null`: any. A key that a change or shadow mode has freed from its
 * device list is not limited to names.
 */
function invitedNames({ deviceIds, invite }: Pick<GatewayPrincipal, "deviceIds" | "invite">): readonly string[] | null {
  return deviceIds === null ? null : (invite?.connectionNames ?? null);
}

/** Whether the invitation that enrolled a device allows its name. */
export function allowsInvitedName(
  principal: Pick<GatewayPrincipal, "deviceIds" | "invite">,
  device: DeviceIdentity,
): boolean {
  return allowsDevice({ deviceIds: null, connectionNames: invitedNames(principal) }, device);
}

/** Registers the device of a used invitation again. Both its id and its name must match; the server would require only one of them. */
function registerAgain(
  principal: GatewayPrincipal,
  device: DeviceIdentity,
  register: (principal: GatewayPrincipal) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const connectionNames = invitedNames(principal);
  if (connectionNames === null) return register(principal);
  // Its tags are in its row, which the server reads.
  if (!allowsDevice({ ...principal, deviceTags: null }, device) || !allowsInvitedName(principal, device)) {
    return Promise.resolve(problemResponse("device_not_allowed"));
  }
  return register({ ...principal, deviceIds: null, connectionNames });
}

type Decision = { readonly kind: "accepted"; readonly record: KeyRecord } | Refusal;

/** Decides whether a device may use an invitation, and returns the key with its claim. The device of a claim may register again. */
function decideClaim(record: KeyRecord, device: DeviceIdentity, nowMs: number): Decision {
  if (keyState(record, nowMs) !== "active") return { kind: "refused", response: invalidKey };
  const { invite, deviceIds } = record;
  const { deviceId } = device;
  const { claim = { deviceId, registrations: 0 } } = invite ?? {};
  const isAllowed =
    claim.deviceId === deviceId &&
    allowsDevice(record, device) &&
    (invite === null || allowsInvitedName({ deviceIds, invite }, device));
  if (!isAllowed) return { kind: "refused", response: problemResponse("device_not_allowed") };
  if (invite === null || !isUnused(record)) return { kind: "accepted", record };
  const claimed = { ...invite, claim: { deviceId, registrations: claim.registrations + 1 } };
  return { kind: "accepted", record: withRequirements({ ...record, invite: claimed }) };
}

/** The key of an invitation after its device was accepted: restricted to that device, and still to the names. */
function useInvite(record: KeyRecord, { deviceId }: DeviceIdentity, nowMs: number): KeyRecord {
  if (record.invite === null || !isUnused(record)) return record;
  const { claim: _claim, ...invite } = record.invite;
  const used = { ...invite, connectionNames: record.connectionNames, usedAt: nowMs };
  return withRequirements({ ...record, deviceIds: [deviceId], connectionNames: null, invite: used });
}

/** Whether no other registration has the same claim, and may still be accepted. */
function isFirst({ invite }: KeyRecord): boolean {
  return invite?.claim?.registrations === 1;
}

/** The key of an invitation after its only registration was refused. */
function endClaim(record: KeyRecord): KeyRecord {
  if (record.invite === null || !isFirst(record)) return record;
  const { claim: _claim, ...invite } = record.invite;
  return withRequirements({ ...record, invite });
}
