import type { KeyActor } from "../keys/key-lifecycle.ts";
import type { KeyRecord } from "../keys/key-record.ts";

/** On whose authority keys are administered. */
export type AdminAuthority =
  /** Whoever runs the gateway: every key of every tenant. */
  | { readonly kind: "operator" }
  | {
      readonly kind: "key";
      /** As it stands in the store when the operation begins. */
      readonly record: KeyRecord;
      /**
       * When the presented secret ends, in epoch milliseconds; `null` when it does not end by itself. During a rotation that is
       * earlier than the key's own end for the secret on its way out.
       */
      readonly endsAt: number | null;
      /** Whether the presented secret is on its way out, because a newer one has taken its place. */
      readonly isOnWayOut: boolean;
    };

/** Whether a key exists for an authority: those of other tenants do not. */
export function mayKnowKey(authority: AdminAuthority, { tenant }: Pick<KeyRecord, "tenant">): boolean {
  return authority.kind === "operator" || authority.record.tenant === tenant;
}

/** The tenant of a key that names none. */
export function tenantOf(authority: AdminAuthority): string {
  return authority.kind === "operator" ? "default" : authority.record.tenant;
}

/** Under whose name a change is made. */
export function actorOf(authority: AdminAuthority): KeyActor {
  if (authority.kind === "operator") return { kind: "admin-listener" };
  return { kind: "key", keyId: authority.record.id, tenant: authority.record.tenant };
}
