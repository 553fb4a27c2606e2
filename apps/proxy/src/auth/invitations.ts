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
  refused,
  type Refused,
} from "@letta-environments/schema";
import { type GatewayPrincipal, invalidKey } from "./authentication.ts";
import type { GatewayPorts, KeyStoreFor } from "../ports.ts";
import { keyState } from "../keys/key-lifecycle.ts";
import { isUnused, type KeyRecord, withRequirements } from "../keys/key-record.ts";

/** A registration that may proceed, with its principal, or the response that refuses the device. */
export type Acceptance =
  | {
      readonly kind: "accepted";
      readonly principal: GatewayPrincipal;
      /**
       * Marks an unused invitation as used by the device. Call it right before the device is enrolled, because a registration that is refused must
       * not use the invitation up. Resolves with a response if the invitation can no longer be used.
       */
      readonly useInvitation?: () => Promise<PlainResponse | null>;
    }
  | Refused;

/** Accepts an invitation for a device that is about to register. A principal without an unused invitation is accepted unchanged. */
export type AcceptInvitation = (principal: GatewayPrincipal, device: DeviceIdentity) => Promise<Acceptance>;

/** Dependencies of an {@link AcceptInvitation}. */
export interface InvitationOptions extends Pick<GatewayPorts, "clock" | "keyStore"> {
  /** Audits the change; absent: it is not audited. */
  readonly keyStoreFor?: KeyStoreFor | undefined;
  /** Resolves with the rows that a device of the principal's tenant has. */
  readonly findRows: (principal: GatewayPrincipal, deviceId: string) => Promise<readonly DeviceRow[]>;
}

/** Creates an {@link AcceptInvitation}. */
export function createAcceptInvitation({
  clock,
  keyStore,
  keyStoreFor = () => keyStore,
  findRows,
}: InvitationOptions): AcceptInvitation {
  return async (principal, device) => {
    const { keyId, tenant, invite } = principal;
    if (invite === undefined) return { kind: "accepted", principal };
    if (invite.usedAt !== null) return acceptAgain(principal, device);
    const decide = (record: KeyRecord): Decision => decideAcceptance(record, device, clock.now());
    // A refusal is not a change, and is not audited as an attempted one.
    const current = await keyStore.find(keyId);
    const decision: Decision = current === null ? refused(invalidKey) : decide(current);
    if (decision.kind === "refused") return decision;
    const response = refuseDevice(principal, device, await findRows(principal, device.deviceId));
    if (response !== null) return refused(response);
    // An id in the allowlist would let the device take over rows whose names are not allowed, so with names no id is added.
    const limits = principal.connectionNames === null ? { deviceIds: [device.deviceId] } : {};
    return {
      kind: "accepted",
      principal: { ...principal, ...limits },
      async useInvitation() {
        try {
          await keyStoreFor({ kind: "key", keyId, tenant }).update(keyId, (record) => {
            const final = decide(record);
            if (final.kind === "refused") throw new ChangeRefusedError(final.response);
            return final.record;
          });
          return null;
        } catch (cause) {
          if (cause instanceof ChangeRefusedError) return cause.response;
          throw cause;
        }
      },
    };
  };
}

/** Refuses a device for what the server would refuse after the invitation was used: its tenant, its owner, or its other names. */
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

/** Accepts a device again for a used invitation. Both its id and its name must match; the server would require only one of them. */
function acceptAgain(principal: GatewayPrincipal, device: DeviceIdentity): Acceptance {
  const connectionNames = invitedNames(principal);
  if (connectionNames === null) return { kind: "accepted", principal };
  // Its tags are in its row, which the server reads.
  if (!allowsDevice({ ...principal, deviceTags: null }, device) || !allowsInvitedName(principal, device)) {
    return refused(problemResponse("device_not_allowed"));
  }
  return { kind: "accepted", principal: { ...principal, deviceIds: null, connectionNames } };
}

type Decision = { readonly kind: "accepted"; readonly record: KeyRecord } | Refused;

/**
 * Decides whether a device may use an invitation, and returns the resulting key: restricted to that device, and still to the names.
 * The same device may use it again, for example after a later step of its registration failed.
 */
function decideAcceptance(record: KeyRecord, device: DeviceIdentity, nowMs: number): Decision {
  if (keyState(record, nowMs) !== "active") return refused(invalidKey);
  const { invite, deviceIds, connectionNames } = record;
  const isAllowed =
    allowsDevice(record, device) && (invite === null || allowsInvitedName({ deviceIds, invite }, device));
  if (!isAllowed) return refused(problemResponse("device_not_allowed"));
  if (invite === null || !isUnused(record)) return { kind: "accepted", record };
  const used = { ...invite, connectionNames, usedAt: nowMs };
  const limited = { ...record, deviceIds: [device.deviceId], connectionNames: null, invite: used };
  return { kind: "accepted", record: withRequirements(limited) };
}
