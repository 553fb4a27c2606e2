import type { KeyActor } from "../keys/key-lifecycle.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { KeyStore } from "../ports.ts";
import type { AuditEntry, KeyAct } from "./audit-entry.ts";
import type { AuditLog } from "./audit-log.ts";

/**
 * A key store whose changes are written down, before and after. A change that cannot be written down is not made; one that was
 * made stays made when the note of its result fails, which `onFailure` is told.
 */
export function auditKeyStore(
  keyStore: KeyStore,
  audit: AuditLog,
  actor: KeyActor,
  onFailure: (cause: unknown) => void,
): KeyStore {
  /** `wanted` tells what was made, or was to be made; `null` when it never came to that. */
  async function change<Result>(
    keyId: string,
    run: () => Promise<Result>,
    wanted: () => KeyChange | null,
  ): Promise<Result> {
    await audit.append({ type: "key_change_started", actor, keyId });
    const end = (type: "key_changed" | "key_change_unknown"): Promise<void> => {
      const made = wanted();
      const entry: AuditEntry =
        made === null
          ? { type: "key_change_abandoned", actor, keyId }
          : { type, actor, keyId, ...describeKeyChange(made) };
      return audit.append(entry).catch(onFailure);
    };
    let result: Result;
    try {
      result = await run();
    } catch (cause) {
      if (cause instanceof KeyStoreUnavailableError) await end("key_change_unknown");
      else await audit.append({ type: "key_change_abandoned", actor, keyId }).catch(onFailure);
      throw cause;
    }
    await end("key_changed");
    return result;
  }

  return {
    ...keyStore,
    create: (record) =>
      change(
        record.id,
        () => keyStore.create(record),
        () => ({ before: null, after: record }),
      ),
    update(id, modify) {
      let wanted: KeyChange | null = null;
      const run = (): Promise<KeyRecord | null> =>
        keyStore.update(id, (before) => {
          const after = modify(before);
          wanted = { before, after };
          return after;
        });
      return change(id, run, () => wanted);
    },
  };
}

interface KeyChange {
  readonly before: KeyRecord | null;
  readonly after: KeyRecord;
}

/** What was done to a key, and the members that it changed, without their secrets. */
export function describeKeyChange({ before, after }: KeyChange): {
  readonly tenant: string;
  readonly act: KeyAct;
  readonly members: Readonly<Record<string, unknown>>;
} {
  const { secrets, ...shown } = after;
  const isNew = (name: string, value: unknown): boolean =>
    before === null || JSON.stringify(before[name as keyof KeyRecord]) !== JSON.stringify(value);
  const members = Object.fromEntries(Object.entries(shown).filter(([name, value]) => isNew(name, value)));
  const hasNewSecret = before !== null && before.secrets[0]?.digest !== secrets[0]?.digest;
  return { tenant: after.tenant, act: actOf(before, after, hasNewSecret), members };
}

function actOf(before: KeyRecord | null, after: KeyRecord, hasNewSecret: boolean): KeyAct {
  if (before === null) return "created";
  if (before.revokedAt === null && after.revokedAt !== null) return "revoked";
  if (hasNewSecret) return "rotated";
  if (before.disabledAt === null && after.disabledAt !== null) return "disabled";
  if (before.disabledAt !== null && after.disabledAt === null) return "enabled";
  return "updated";
}
