import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import { loadSettings } from "./settings.ts";
import { openCredentials } from "./open-credentials.ts";
import { describeKeyStore, openKeyStore } from "./open-keys.ts";
import { warnOfDamaged } from "./warn-of-damaged.ts";
import { openPepper } from "./open-keys.ts";

/** `config check`: everything that would keep a start from succeeding, but for the port. */
export async function checkConfigCommand(parsed: ParsedCommand): Promise<void> {
  const settings = loadSettings(parsed);
  const { upstream } = settings;
  const records = await readKeys(settings);
  if (upstream.kind === "http") openCredentials(settings, records, () => undefined);
  const behind = upstream.kind === "http" ? upstream.baseUrl.origin : "the embedded environment server";
  process.stdout.write(
    `The configuration is valid; the upstream is ${behind}; keys are kept in ${describeKeyStore(settings)}.\n`,
  );
}

/** The keys there are; a check makes no data directory. */
async function readKeys(settings: Settings): Promise<readonly KeyRecord[]> {
  if (settings.valkeyUrl === null && !existsSync(join(settings.dataDir, "proxy.sqlite"))) return [];
  const { keyStore, damagedIds, close } = await openKeyStore(settings, { onDamaged: warnOfDamaged });
  try {
    const records = await keyStore.list();
    // Without keys any pepper will do, and the start makes one.
    if (records.length > 0 || damagedIds.size > 0) openPepper(settings, records, damagedIds.size > 0);
    return records;
  } finally {
    close();
  }
}
