import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "../../../config/settings.ts";
import type { KeyRecord } from "../../../keys/key-record.ts";
import { describeKeyStore, openKeyStore, openPepper } from "../keys.ts";
import { describeConfigFile } from "../settings.ts";
import { lacksCredential, openCredentials } from "../upstream.ts";
import { checkDataDir, keysFile } from "../../../adapters/node/data-dir.ts";
import { type CommandContext, print, warn, warnOfDamaged } from "./context.ts";

/** `config check`: finds everything that would make a start fail, except a port that is taken or an address that is not of this machine. */
export async function checkConfigCommand(context: CommandContext): Promise<void> {
  const settings = context.settings();
  const { upstream } = settings;
  checkDataDir(settings.dataDir);
  const records = await readKeys(settings);
  if (upstream.kind === "http") openCredentials(settings, records, () => undefined);
  const server =
    upstream.kind === "http" ? upstream.baseUrl.origin + upstream.baseUrl.basePath : "the embedded environment server";
  print(
    `The configuration is valid; ${describeConfigFile(context.parsed)}. The upstream is ${server}; keys are stored in ${describeKeyStore(settings)}.\n`,
  );
  if (lacksCredential(settings)) warn("no credential for the upstream: LETTA_API_KEY is not set");
}

/** The stored keys. A check creates no data directory. */
async function readKeys(settings: Settings): Promise<readonly KeyRecord[]> {
  if (settings.valkeyUrl === null && !existsSync(join(settings.dataDir, keysFile))) {
    if (settings.keyPepper !== null) openPepper(settings, [], false);
    return [];
  }
  const { keyStore, damagedIds, close } = await openKeyStore(settings, { onDamaged: warnOfDamaged });
  try {
    const records = await keyStore.list();
    // Without keys a start creates the pepper's file; KEY_PEPPER is checked in any case.
    const hasKeys = records.length > 0 || damagedIds.size > 0;
    if (hasKeys || settings.keyPepper !== null) openPepper(settings, records, damagedIds.size > 0);
    return records;
  } finally {
    close();
  }
}
