import type { KeyActor } from "../keys/key-actor.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { KeyStore } from "../ports.ts";
import type { KeyAct } from "./audit-entry.ts";
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
  async function change<Result>(
    keyId: string,
    run: () => Promise<Result>,
    result: () => KeyChange | null,
  ): Promise<Result> {
    await audit.append({ type: "key_change_started", actor, keyId });
    try {
      return await run();
    } finally {
      const changed = result();
      const entry =
        changed === null
          ? ({ type: "key_change_abandoned", actor, keyId } as const)
          : ({ type: "key_changed", actor, keyId, ...describeKeyChange(changed) } as const);
      await audit.append(entry).catch(onFailure);
    }
  }

  return {
    ...keyStore,
    create(record) {
      let made: KeyChange | null = null;
      const run = async (): Promise<void> => {
        await keyStore.create(record);
        made = { before: null, after: record };
      };
      return change(record.id, run, () => made);
    },
    update(id, modify) {
      let made: KeyChange | null = null;
      const run = async (): Promise<KeyRecord | null> => {
        let before: KeyRecord | null = null;
        const after = await keyStore.update(id, (record) => {
          before = record;
          return modify(record);
        });
        if (after !== null) made = { before, after };
        return after;
      };
      return change(id, run, () => made);
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
