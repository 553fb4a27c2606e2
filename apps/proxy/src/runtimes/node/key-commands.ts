import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import { formatKeyJson, formatKeyTable } from "../../cli/format-keys.ts";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import { readKeyRequest } from "../../cli/read-key-request.ts";
import { revokeKey, rotateKey } from "../../keys/change-key.ts";
import { createKey, mintSecret } from "../../keys/create-key.ts";
import { parseDuration } from "../../keys/parse-duration.ts";
import { CommandError } from "./command-error.ts";
import { loadSettings } from "./load-settings.ts";
import { nodeKeyMint } from "./mint-key.ts";
import { type OpenKeys, openKeys } from "./open-keys.ts";

/** `keys create`: prints the key alone on stdout. */
export function createKeyCommand(parsed: ParsedCommand): Promise<void> {
  const request = readKeyRequest(parsed, systemClock.now());
  if (!request.ok) throw new CommandError(request.reason, 2);
  return withKeys(parsed, async ({ keyStore, pepper }) => {
    const { key, record } = createKey(request.value, systemClock.now(), nodeKeyMint(pepper));
    await keyStore.create(record);
    process.stdout.write(`${key}\n`);
  });
}

/** `keys list` */
export function listKeysCommand(parsed: ParsedCommand): Promise<void> {
  return withKeys(parsed, async ({ keyStore }) => {
    const format = parsed.options.has("json") ? formatKeyJson : formatKeyTable;
    process.stdout.write(format(await keyStore.list(), systemClock.now()));
  });
}

/** `keys revoke ID` */
export function revokeKeyCommand(parsed: ParsedCommand): Promise<void> {
  return withKeys(parsed, async ({ keyStore }) => {
    const [id = ""] = parsed.operands;
    const revoked = await keyStore.update(id, (record) => revokeKey(record, systemClock.now()));
    if (revoked === null) throw unknownKey();
    process.stdout.write(`Revoked ${id}\n`);
  });
}

/** `keys rotate ID`: prints the new key alone on stdout. */
export function rotateKeyCommand(parsed: ParsedCommand): Promise<void> {
  const [overlap = "1h"] = parsed.options.get("overlap") ?? [];
  const overlapMs = parseDuration(overlap);
  if (overlapMs === null) throw new CommandError("--overlap must be a duration such as 1h, 15m or 0s", 2);
  return withKeys(parsed, async ({ keyStore, pepper }) => {
    const [id = ""] = parsed.operands;
    const now = systemClock.now();
    const { key, secret } = mintSecret(id, now, nodeKeyMint(pepper));
    const rotated = await keyStore.update(id, (record) => {
      if (record.revokedAt !== null) throw new CommandError("The key is revoked; create a new one.");
      return rotateKey(record, secret, now, overlapMs);
    });
    if (rotated === null) throw unknownKey();
    process.stdout.write(`${key}\n`);
  });
}

async function withKeys(parsed: ParsedCommand, run: (keys: OpenKeys) => Promise<void>): Promise<void> {
  const keys = await openKeys(loadSettings(parsed));
  try {
    await run(keys);
  } finally {
    keys.close();
  }
}

function unknownKey(): CommandError {
  return new CommandError("There is no key with this id; 'letta-proxy keys list' shows the ids.");
}
