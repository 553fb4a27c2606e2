/**
 * Invitations: `connect` keys that belong to the first device that uses them. The key store decides which device is the first, in one
 * atomic change of the key, so that two devices that come at the same time, also to different processes, never both get in.
 */
import { allowsDevice, type DeviceIdentity, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { type GatewayPrincipal, invalidKey } from "./authentication.ts";
import type { GatewayPorts, KeyStoreFor } from "../ports.ts";
import { keyState } from "../keys/key-lifecycle.ts";
import { isUnused, type KeyRecord, withRequirements } from "../keys/key-record.ts";

/** The principal of a registration after its invitation was accepted, or the response that refuses the device. */
export type Acceptance =
  | { readonly kind: "accepted"; readonly principal: GatewayPrincipal }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Accepts an invitation for a device that is about to register. A principal without an unused one is accepted as it is. */
export type AcceptInvitation = (principal: GatewayPrincipal, device: DeviceIdentity) => Promise<Acceptance>;

/** Creates an {@link AcceptInvitation}. `keyStoreFor` audits the change; absent: it is not audited. */
export function createAcceptInvitation({
  clock,
  keyStore,
  keyStoreFor = () => keyStore,
}: Pick<GatewayPorts, "clock" | "keyStore"> & { readonly keyStoreFor?: KeyStoreFor | undefined }): AcceptInvitation {
  return async (principal, device) => {
    const { keyId, tenant, invite } = principal;
    if (invite === undefined || invite.usedAt !== null) return { kind: "accepted", principal };
    const decide = (record: KeyRecord): Decision => decideAcceptance(record, device, clock.now());
    // A refusal is not a change, and is not audited as an attempt of one.
    const present = await keyStore.find(keyId);
    const decision: Decision = present === null ? { kind: "refused", response: invalidKey() } : decide(present);
    if (decision.kind === "refused") return decision;
    try {
      await keyStoreFor({ kind: "key", keyId, tenant }).update(keyId, (record) => {
        const final = decide(record);
        if (final.kind === "refused") throw new RefusedError(final.response);
        return final.record;
      });
    } catch (cause) {
      if (cause instanceof RefusedError) return { kind: "refused", response: cause.response };
      throw cause;
    }
    return { kind: "accepted", principal: { ...principal, deviceIds: [device.deviceId] } };
  };
}

type Decision =
  | { readonly kind: "accepted"; readonly record: KeyRecord }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/**
 * Decides whether a device may use an invitation, and returns the key as it is afterwards: restricted to that device. The same device may
 * use it again, such as after a registration that failed later.
 */
function decideAcceptance(record: KeyRecord, device: DeviceIdentity, nowMs: number): Decision {
  if (keyState(record, nowMs) !== "active") return { kind: "refused", response: invalidKey() };
  if (!allowsDevice(record, device)) return { kind: "refused", response: problemResponse("device_not_allowed") };
  const { invite } = record;
  if (invite === null || !isUnused(record)) return { kind: "accepted", record };
  const used = { ...record, deviceIds: [device.deviceId], connectionNames: null, invite: { ...invite, usedAt: nowMs } };
  return { kind: "accepted", record: withRequirements(used) };
}

/** Aborts a change inside the store's atomic step, so that nothing is written. */
class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly response: PlainResponse;

  constructor(response: PlainResponse) {
    super("the device was refused");
    this.response = response;
  }
}
