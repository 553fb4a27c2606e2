import { userInfo } from "node:os";
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import { auditKeyStore } from "../../audit/audit-key-store.ts";
import { formatKeyJson, formatKeyTable } from "../../cli/format-keys.ts";
import { AuditUnavailableError } from "../../audit/audit-unavailable-error.ts";
import { printable } from "../../cli/printable.ts";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import { readKeyRequest } from "../../cli/read-key-request.ts";
import type { Settings } from "../../config/settings.ts";
import { disableKey, enableKey, keyState, revokeKey, rotateKey } from "../../keys/change-key.ts";
import { createKey, mintSecret } from "../../keys/create-key.ts";
import { KeyRecordDamagedError } from "../../keys/key-record-damaged-error.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import { defaultOverlapMs } from "../../keys/key-schemas.ts";
import { parseDuration } from "../../keys/parse-duration.ts";
import { findNewSharing } from "../../tenants/find-new-sharing.ts";
import { CommandError } from "./command-error.ts";
import { loadSettings } from "./load-settings.ts";
import { nodeKeyMint } from "./mint-key.ts";
import { openAudit } from "./open-audit.ts";
import { openCredentials, sharedCredentials } from "./open-credentials.ts";
import { type OpenKeys, openKeys } from "./open-keys.ts";
import { warnOfDamaged } from "./warn-of-damaged.ts";

/** `keys create`: prints the key alone on stdout. */
export function createKeyCommand(parsed: ParsedCommand): Promise<void> {
  const request = readKeyRequest(parsed, systemClock.now());
  if (!request.ok) throw new CommandError(request.reason, 2);
  return withAuditedKeys(parsed, async ({ keyStore, pepper }) => {
    const { key, record } = createKey(request.value, systemClock.now(), nodeKeyMint(pepper));
    refuseSharing(loadSettings(parsed), await keyStore.list(), record);
    await keyStore.create(record);
    process.stdout.write(`${key}\n`);
  });
}

/** `keys list` */
export function listKeysCommand(parsed: ParsedCommand): Promise<void> {
  return withKeys(
    parsed,
    async ({ keyStore }) => {
      const format = parsed.options.has("json") ? formatKeyJson : formatKeyTable;
      const [records, lastUses] = await Promise.all([keyStore.list(), keyStore.lastUses()]);
      process.stdout.write(format(records, systemClock.now(), lastUses));
    },
    warnOfDamaged,
  );
}

/** `keys disable ID` */
export function disableKeyCommand(parsed: ParsedCommand): Promise<void> {
  return changeKey(parsed, "Disabled", (record) => disableKey(unended(record), systemClock.now()));
}

/** `keys enable ID` */
export function enableKeyCommand(parsed: ParsedCommand): Promise<void> {
  return changeKey(parsed, "Enabled", (record) => enableKey(unended(record)));
}

/** `keys revoke ID` */
export function revokeKeyCommand(parsed: ParsedCommand): Promise<void> {
  return changeKey(parsed, "Revoked", (record) => revokeKey(record, systemClock.now()));
}

/** `keys rotate ID`: prints the new key alone on stdout. */
export function rotateKeyCommand(parsed: ParsedCommand): Promise<void> {
  const [overlap] = parsed.options.get("overlap") ?? [];
  const overlapMs = overlap === undefined ? defaultOverlapMs : parseDuration(overlap);
  if (overlapMs === null) throw new CommandError("--overlap must be a duration such as 1h, 15m or 0s", 2);
  return withAuditedKeys(parsed, async ({ keyStore, pepper }) => {
    const [id = ""] = parsed.operands;
    const now = systemClock.now();
    const { key, secret } = mintSecret(id, now, nodeKeyMint(pepper));
    const rotated = await keyStore.update(id, (record) => {
      const state = keyState(record, now);
      // A new secret of a key that has ended would be as dead as the old one.
      if (state === "revoked" || state === "expired") throw new CommandError(`The key is ${state}; create a new one.`);
      return rotateKey(record, secret, now, overlapMs);
    });
    if (rotated === null) throw unknownKey();
    process.stdout.write(`${key}\n`);
  });
}

/** What has ended is neither taken out of use nor put back. */
function unended(record: KeyRecord): KeyRecord {
  const state = keyState(record, systemClock.now());
  if (state !== "revoked" && state !== "expired") return record;
  throw new CommandError(`The key is ${state}; nothing was changed. Create a new one.`);
}

/** A key with which the next start would fail, because its tenant would share an upstream credential, is not made. */
function refuseSharing(settings: Settings, records: readonly KeyRecord[], record: KeyRecord): void {
  if (settings.upstream.kind !== "http") return;
  const credentialOf = openCredentials(settings, [], () => undefined);
  const problems = findNewSharing({ ...settings, credentialOf }, records, record, systemClock.now());
  if (problems.length > 0) throw sharedCredentials(problems);
}

function changeKey(parsed: ParsedCommand, done: string, change: (record: KeyRecord) => KeyRecord): Promise<void> {
  return withAuditedKeys(parsed, async ({ keyStore }) => {
    const [id = ""] = parsed.operands;
    if ((await keyStore.update(id, change)) === null) throw unknownKey();
    process.stdout.write(`${done} ${id}\n`);
  });
}

/** Whoever changes keys is written down; a change that cannot be written down is not made. */
function withAuditedKeys(parsed: ParsedCommand, run: (keys: OpenKeys) => Promise<void>): Promise<void> {
  return withKeys(parsed, async (keys) => {
    const audit = await openAudit(loadSettings(parsed), keys.pepper);
    try {
      const actor = { kind: "command-line", user: userName() } as const;
      await run({ ...keys, keyStore: auditKeyStore(keys.keyStore, audit, actor, warn) });
    } catch (cause) {
      if (cause instanceof KeyRecordDamagedError) throw damagedKey(cause);
      if (!(cause instanceof AuditUnavailableError)) throw cause;
      throw new CommandError(`${cause.message}, so nothing was changed: ${String(cause.cause)}`, 1, { cause });
    } finally {
      await audit.close().catch(warn);
    }
  });
}

function warn(cause: unknown): void {
  process.stderr.write(
    `letta-proxy: the audit log cannot be written, and lacks the result of this change: ${String(cause)}\n`,
  );
}

/** A user id without an entry in the system's table has no name. */
function userName(): string | null {
  try {
    return userInfo().username;
  } catch {
    return null;
  }
}

async function withKeys(
  parsed: ParsedCommand,
  run: (keys: OpenKeys) => Promise<void>,
  onDamaged?: (id: string) => void,
): Promise<void> {
  const keys = await openKeys(loadSettings(parsed), onDamaged && { onDamaged });
  try {
    await run(keys);
  } finally {
    keys.close();
  }
}

function damagedKey(cause: KeyRecordDamagedError): CommandError {
  const id = printable(cause.keyId);
  const text = `The stored record of the key ${id} is damaged; nothing was changed. 'letta-proxy keys revoke ${id}' replaces it.`;
  return new CommandError(text, 1, { cause });
}

function unknownKey(): CommandError {
  return new CommandError("There is no key with this id; 'letta-proxy keys list' shows the ids.");
}
