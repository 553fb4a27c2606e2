/** Keys in the data directory or in Valkey, as the settings say. Every change is in the audit log before it is made. */
import { resolve } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { auditKeyStore } from "../../../audit/key-changes.ts";
import { describeKeyIssue } from "../../../commands/key-options.ts";
import {
  createKey,
  type KeyRequest,
  keyState,
  mintSecret,
  patchKey,
  revokeKey,
  rotateKey,
} from "../../../keys/key-lifecycle.ts";
import { type KeyRecord, KeyRecordDamagedError } from "../../../keys/key-record.ts";
import { patchIssues, refuseEnded } from "../../../keys/key-rules.ts";
import { createLink } from "../../../keys/sign-in.ts";
import { showKey } from "../../../keys/key-view.ts";
import type { Settings } from "../../../config/settings.ts";
import type { KeyStore } from "../../../ports.ts";
import { findCredentialConflicts } from "../../../tenants/credentials.ts";
import { openCredentials, sharedCredentials } from "../upstream.ts";
import { hasGatewayData } from "../../../adapters/node/data-dir.ts";
import { nodeKeyMint, type OpenKeys, openKeys, openStoredKeys } from "../keys.ts";
import { withAuditLog } from "./audited-change.ts";
import { type CommandContext, commandLineActor, type KeyAdministration, warn, warnOfDamaged } from "./context.ts";

/** Returns the operations on the keys that the settings of a command name. */
export function administerLocalKeys(context: CommandContext): KeyAdministration {
  const settings = context.settings();
  return {
    create: (request) =>
      withAuditedKeys(
        settings,
        async ({ keyStore, pepper }) => {
          const { key, record } = createKey(request, systemClock.now(), nodeKeyMint(pepper));
          await refuseSharing(settings, keyStore, record);
          await keyStore.create(record);
          return key;
        },
        // The first key can be created before the gateway has ever been started.
        openKeys,
      ),
    list: () =>
      withKeys(settings, async ({ keyStore }) => {
        const [records, lastUses] = await Promise.all([keyStore.list(), keyStore.lastUses()]);
        return records.map((record) => showKey(record, systemClock.now(), lastUses.get(record.id) ?? null));
      }),
    retrieve: (id) =>
      withKeys(settings, async ({ keyStore }) => {
        const [record, lastUses] = await Promise.all([keyStore.find(id), keyStore.lastUses([id])]);
        if (record === null) throw unknownKey();
        return showKey(record, systemClock.now(), lastUses.get(id) ?? null);
      }),
    update: (id, patch) =>
      withAuditedKeys(settings, async ({ keyStore }) => {
        const now = systemClock.now();
        const present = patch.scopes === undefined ? null : await keyStore.find(id);
        if (present !== null) await refuseSharing(settings, keyStore, patchKey(present, patch, now));
        const updated = await keyStore.update(id, (record) => {
          checkNotEnded(record, now);
          const issues = patchIssues(record, patch, now);
          if (issues.length > 0) throw new CommandError(`${describeKeyIssue(issues)}; nothing was changed`);
          return patchKey(record, patch, now);
        });
        if (updated === null) throw unknownKey();
      }),
    revoke: (id) =>
      withAuditedKeys(settings, async ({ keyStore }) => {
        const revoked = await keyStore.update(id, (record) => revokeKey(record, systemClock.now()));
        if (revoked === null) throw unknownKey();
      }),
    rotate: (id, overlapMs) =>
      withAuditedKeys(settings, async ({ keyStore, pepper }) => {
        const now = systemClock.now();
        const { key, secret } = mintSecret(id, now, nodeKeyMint(pepper));
        const rotated = await keyStore.update(id, (record) => {
          checkNotEnded(record, now);
          return rotateKey(record, secret, now, overlapMs);
        });
        if (rotated === null) throw unknownKey();
        return key;
      }),
  };
}

/** Creates the key of a sign-in link in the store that the settings of a command name, and resolves with its secret. */
export function createLocalLink(context: CommandContext, request: KeyRequest): Promise<string> {
  return withAuditedKeys(context.settings(), async ({ keyStore, pepper }) => {
    const { key, record } = createLink(request, systemClock.now(), nodeKeyMint(pepper));
    await refuseSharing(context.settings(), keyStore, record);
    await keyStore.create(record);
    return key;
  });
}

/** Refuses a key whose tenant would share an upstream credential, because the next start would fail. */
async function refuseSharing(settings: Settings, keyStore: KeyStore, record: KeyRecord): Promise<void> {
  if (settings.upstream.kind !== "http") return;
  const credentialOf = openCredentials(settings, { live: new Map() }, () => undefined);
  const problems = await findCredentialConflicts({ ...settings, credentialOf }, keyStore, record, systemClock.now());
  if (problems.length > 0) throw sharedCredentials(problems);
}

/** Opens the keys for a change by this user. A change that cannot be recorded is not made. */
async function withAuditedKeys<Result>(
  settings: Settings,
  run: (keys: OpenKeys) => Promise<Result>,
  open: typeof openKeys = openStoredKeys,
): Promise<Result> {
  const isNew = !hasGatewayData(settings.dataDir);
  const keys = await open(settings);
  try {
    return await withAuditLog(settings, keys.pepper, async (audit, onFailure) => {
      if (isNew) warn(describeNewDataDir(settings));
      const keyStore = auditKeyStore(keys.keyStore, audit, commandLineActor(), onFailure);
      try {
        return await run({ ...keys, keyStore });
      } catch (cause) {
        throw cause instanceof KeyRecordDamagedError ? damagedKey(cause) : cause;
      }
    });
  } finally {
    keys.close();
  }
}

async function withKeys<Result>(settings: Settings, run: (keys: OpenKeys) => Promise<Result>): Promise<Result> {
  const keys = await openStoredKeys(settings, { onDamaged: warnOfDamaged });
  try {
    return await run(keys);
  } finally {
    keys.close();
  }
}

/** Says that the command has created a data directory, which is a mistake if the gateway uses another one. */
function describeNewDataDir({ dataDir, valkeyUrl }: Settings): string {
  const consequence =
    valkeyUrl === null
      ? "a gateway accepts the key only if this is its data directory"
      : "the change is only in the audit log there";
  return `made a new data directory, ${resolve(dataDir)}: ${consequence}`;
}

function damagedKey(cause: KeyRecordDamagedError): CommandError {
  const id = cause.keyId;
  const text = `The stored record of the key ${id} is damaged; nothing was changed. 'letta-proxy keys revoke ID' replaces it.`;
  return new CommandError(text, 1, { cause });
}

/** Returns the error for an id that no key has. */
export function unknownKey(): CommandError {
  return new CommandError("there is no key with this id; 'letta-proxy keys list' shows the ids");
}

function checkNotEnded(record: KeyRecord, nowMs: number): void {
  const refusal = refuseEnded(keyState(record, nowMs));
  if (refusal !== null) throw new CommandError(refusal);
}
