import { existsSync } from "node:fs";
import { join } from "node:path";
import { printable } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import type { Settings } from "../../../config/settings.ts";
import { type KeySummary, summarizeKeys } from "../../../keys/key-record.ts";
import { describeKeyStore, openKeyStore, openPepper } from "../keys.ts";
import { describeConfigFile } from "../settings.ts";
import { openValkeySends } from "../shared-stores.ts";
import { lacksCredential, openCredentials } from "../upstream.ts";
import { checkDataDir, keysFile } from "../../../adapters/node/data-dir.ts";
import { hasPepper } from "../../../adapters/node/pepper.ts";
import { type CommandContext, print, warn, warnOfDamaged } from "./context.ts";

/** `config check`: finds what would make a start fail in the settings, the stored keys and credentials, and the settings of Valkey. */
export async function checkConfigCommand(context: CommandContext): Promise<void> {
  const settings = context.settings();
  const { upstream } = settings;
  checkDataDir(settings.dataDir);
  const summary = await readKeys(settings);
  if (upstream.kind === "http") {
    openCredentials(settings, summary, () => undefined);
    if (settings.valkeyUrl !== null) (await openValkeySends(settings.valkeyUrl)).close();
  }
  const server =
    upstream.kind === "http" ? upstream.baseUrl.origin + upstream.baseUrl.basePath : "the embedded environment server";
  const text = `The configuration is valid; ${describeConfigFile(context.parsed)}. The upstream is ${server}; keys are stored in ${describeKeyStore(settings)}.`;
  print(`${printable(text)}\n`);
  if (lacksCredential(settings)) warn("no credential for the upstream: LETTA_API_KEY is not set");
}

const noKeys: KeySummary = { isEmpty: true, live: new Map(), pepperIds: new Set() };

/** Reads the stored keys. A check creates no data directory. */
async function readKeys(settings: Settings): Promise<KeySummary> {
  // Without keys a start creates the pepper's file; an existing pepper is checked in any case.
  const isGiven = hasPepper(settings.dataDir, settings.keyPepper);
  if (settings.valkeyUrl === null && !existsSync(join(settings.dataDir, keysFile))) {
    if (isGiven) openPepper(settings, noKeys, false);
    return noKeys;
  }
  const { keyStore, damagedIds, close } = await openKeyStore(settings, { onDamaged: warnOfDamaged });
  try {
    const summary = await summarizeKeys(keyStore.list, systemClock.now());
    const hasKeys = !summary.isEmpty || damagedIds.size > 0;
    if (hasKeys || isGiven) openPepper(settings, summary, damagedIds.size > 0);
    return summary;
  } finally {
    close();
  }
}
