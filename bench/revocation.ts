import { join } from "node:path";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { connectValkey } from "../packages/platform/src/valkey/index.ts";
import { connectScriptedDevice } from "../packages/testkit/src/scripted-device.ts";
import { launchProxy, runLettaProxy } from "../packages/testkit/src/proxy.ts";
import { canLaunchValkey, launchValkey } from "../packages/testkit/src/valkey.ts";
import { createSqliteKeyStore } from "../apps/proxy/src/adapters/sqlite/key-store.ts";
import { openValkeyKeyStore } from "../apps/proxy/src/adapters/valkey/key-store.ts";
import { revokeKey } from "../apps/proxy/src/keys/key-lifecycle.ts";
import type { KeyStore } from "../apps/proxy/src/ports.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { format, type Summary, summarise } from "./harness/statistics.ts";

const revocations = 20;

interface Measured {
  readonly store: string;
  readonly boundMs: number;
  readonly refusedMs: Summary;
  readonly closedMs: Summary;
}

/** How long after a key was revoked through another connection to its store a running proxy refuses it, and has closed its device's socket. */
export async function measureRevocation(): Promise<BenchmarkResult> {
  const measured = [await onSqlite(), ...(canLaunchValkey() ? [await onValkey()] : [])];
  return {
    tables: [
      {
        caption: `Milliseconds from a revocation, ${revocations} of them: median (smallest to largest).`,
        columns: ["keys in", "a request is refused", "the device's socket is closed"],
        rows: measured.map(({ store, refusedMs, closedMs }) => [store, format(refusedMs, 1), format(closedMs, 1)]),
      },
    ],
    goals: measured.map(({ store, boundMs, closedMs, refusedMs }) => {
      const largest = Math.max(closedMs.max, refusedMs.max);
      return {
        goal: `a revocation is in force within ${boundMs} ms (${store})`,
        shown: `${largest.toFixed(1)} ms`,
        met: largest <= boundMs,
      };
    }),
    data: measured,
  };
}

async function onSqlite(): Promise<Measured> {
  const proxy = await launchProxy();
  const database = openSqlite(join(proxy.dataDir, "proxy.sqlite"));
  try {
    const keyStore = createSqliteKeyStore(database, systemClock);
    return await revokeMany("SQLite", 100, keyStore, proxy.url, ["--data-dir", proxy.dataDir], {});
  } finally {
    await proxy.stop();
    database.close();
  }
}

async function onValkey(): Promise<Measured> {
  const server = await launchValkey();
  const env = { VALKEY_URL: server.url, KEY_PEPPER: "a pepper that only a benchmark uses" };
  const proxy = await launchProxy({ env });
  const connection = connectValkey(server.url, { timeoutMs: 2_000, onFailure: () => undefined });
  const keyStore = await openValkeyKeyStore(connection, systemClock);
  try {
    return await revokeMany("Valkey", 5_000, keyStore, proxy.url, ["--data-dir", proxy.dataDir], env);
  } finally {
    keyStore.close();
    await connection.close();
    await proxy.stop();
    await server.stop();
  }
}

async function revokeMany(
  store: string,
  boundMs: number,
  keyStore: KeyStore,
  url: string,
  where: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Measured> {
  const refused: number[] = [];
  const closed: number[] = [];
  for (let round = 0; round < revocations; round++) {
    const { stdout } = await runLettaProxy(["keys", "create", "--name", "n", "--scope", "connect", ...where], env);
    const key = stdout.trim();
    const device = await connectScriptedDevice({ baseUrl: url, apiKey: key, deviceId: `device-${round}` });
    const startedAt = performance.now();
    await keyStore.update(key.slice(4, 16), (record) => revokeKey(record, systemClock.now()));
    const end = device.closed.then(() => void closed.push(performance.now() - startedAt));
    while (await isAccepted(url, key));
    refused.push(performance.now() - startedAt);
    await end;
  }
  return { store, boundMs, refusedMs: summarise(refused), closedMs: summarise(closed) };
}

async function isAccepted(url: string, key: string): Promise<boolean> {
  const response = await fetch(`${url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } });
  await response.arrayBuffer();
  return response.status !== 401;
}
