/** Audit entries of key changes. A change is written to the log before it is made, and its result afterwards. */
import type { KeyActor, KeyRecord } from "../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import { isDeepEqual } from "../lib/deep-equal.ts";
import type { KeyStore } from "../ports.ts";
import type { AuditEntry, KeyAct, KeyEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/**
 * Wraps a key store and audits its changes. A change that changes nothing is not recorded. One that cannot be written to the log is not made. When only
 * its result cannot be written, the change stays. `onFailure` receives both failures, with `false` if the change is not made.
 */
export function auditKeyStore(
  keyStore: KeyStore,
  audit: AuditLog,
  actor: KeyActor,
  onFailure: (cause: unknown, isMade?: boolean) => void,
): KeyStore {
  /** `attempted` returns the attempted change; `null` when the store never applied it. */
  async function change<Result>(
    keyId: string,
    run: () => Promise<Result>,
    attempted: () => KeyChange | null,
  ): Promise<Result> {
    await audit.append({ type: "key_change_started", actor, keyId }).catch((cause: unknown) => {
      onFailure(cause, false);
      throw cause;
    });
    const end = (type: "key_changed" | "key_change_unknown", made: KeyChange | null): Promise<void> => {
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
      const isUnknown = cause instanceof KeyStoreUnavailableError && !cause.isRefused;
      await end("key_change_unknown", isUnknown ? attempted() : null);
      throw cause;
    }
    await end("key_changed", attempted());
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
    async update(id, modify) {
      const unchanged = await findUnchanged(keyStore, id, modify);
      if (unchanged !== null) return unchanged;
      let attempted: KeyChange | null = null;
      const run = (): Promise<KeyRecord | null> =>
        keyStore.update(id, (before) => {
          const after = modify(before);
          attempted = { before, after };
          return after;
        });
      return change(id, run, () => attempted);
    },
  };
}

/** Returns a key that a change would leave as it is; else `null`. A failure comes again when the change is made, where it is recorded. */
async function findUnchanged(
  keyStore: KeyStore,
  id: string,
  modify: (record: KeyRecord) => KeyRecord,
): Promise<KeyRecord | null> {
  try {
    const present = await keyStore.find(id);
    return present !== null && isDeepEqual(modify(present), present) ? present : null;
  } catch {
    return null;
  }
}

interface KeyChange {
  readonly before: KeyRecord | null;
  readonly after: KeyRecord;
}

/** Describes a change for the log: its kind, and the changed members without secrets. */
export function describeKeyChange({
  before,
  after,
}: KeyChange): Pick<Extract<KeyEntry, { readonly act: KeyAct }>, "tenant" | "act" | "members"> {
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
  // Disabling also drops sessions and links.
  if (before.disabledAt === null && after.disabledAt !== null) return "disabled";
  if (hasNewSecret && after.secrets[0]?.use !== "session") return "rotated";
  // A sign-in also drops sessions that have ended, and the oldest one beyond the limit.
  const [old, current] = [sessionsOf(before), sessionsOf(after)];
  if ([...current].some((digest) => !old.has(digest))) return "signed_in";
  if (current.size < old.size) return "signed_out";
  if (before.disabledAt !== null && after.disabledAt === null) return "enabled";
  return "updated";
}

function sessionsOf({ secrets }: KeyRecord): ReadonlySet<string> {
  return new Set(secrets.filter(({ use }) => use === "session").map(({ digest }) => digest));
}
