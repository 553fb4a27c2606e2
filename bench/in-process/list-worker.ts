/**
 * The event-loop time of lists: pages of online devices, and lists of a key that is held to a name pattern. Prints its figures as
 * JSON. The store is a SQLite database in memory.
 */
import process from "node:process";
import type { Principal } from "@letta-environments/schema";
import { openSqlite, randomId, sha256Hex, systemClock } from "../../packages/platform/src/node/index.ts";
import { createEnvironmentServer } from "../../packages/environment-server/src/index.ts";
import { createSqliteEnvironmentStore } from "../../packages/environment-server/src/sqlite.ts";

const rowsPerKey = 1_000;

const principal: Principal = {
  tenant: "t",
  keyId: "k",
  owner: "o",
  scopes: new Set(["list", "connect"] as const),
  deviceIds: null,
  connectionNames: null,
  agentIds: null,
  maxMode: null,
  shared: false,
};

async function createServer(rows: number, metadataLength: number, online: boolean) {
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock: systemClock,
    sha256: sha256Hex,
    randomId,
    podId: "pod",
    publicUrl: "http://127.0.0.1",
  });
  for (let row = 0; row < rows; row++) {
    const owner = { ...principal, keyId: `key-${Math.floor(row / rowsPerKey)}` };
    const body = {
      deviceId: `device-${row}`,
      connectionName: row % 1_000 === 500 ? `ci-${row}` : `box-${row}`,
      metadata: { os: "x".repeat(metadataLength) },
    };
    const input = { params: {}, query: null, body };
    const response = await server.operate("registerEnvironment", input, owner, { authority: null });
    if (!online) continue;
    const { connectionId } = JSON.parse(String(response.body)) as { readonly connectionId: string };
    const path = `/v1/environments/${connectionId}/socket`;
    const decision = await server.upgrade({ method: "GET", path, query: "", headers: {}, body: null }, owner);
    if (decision.kind === "refused") throw new Error(String(decision.response.body));
    decision.attach({ send: () => undefined, close: () => undefined, terminate: () => undefined });
  }
  return server;
}

type Server = Awaited<ReturnType<typeof createServer>>;

/** Lists all pages and returns the median time of a page, in milliseconds. */
async function timePages({ operate }: Server, reader: Principal, query: Record<string, unknown>): Promise<number> {
  const times: number[] = [];
  for (let repeat = 0; repeat < 3; repeat++) {
    let after: string | undefined;
    for (;;) {
      const input = { params: {}, query: { ...query, ...(after !== undefined && { after }) }, body: null };
      const startedAt = performance.now();
      const { body } = await operate("listEnvironments", input, reader, { authority: null });
      times.push(performance.now() - startedAt);
      const list = JSON.parse(String(body)) as {
        readonly connections: { readonly id: string }[];
        hasNextPage: boolean;
      };
      after = list.connections.at(-1)?.id;
      if (!list.hasNextPage) break;
    }
  }
  return times.toSorted((left, right) => left - right)[Math.floor(times.length / 2)] ?? 0;
}

/** Runs ten lists at once, and returns their time and the longest time without a turn of the event loop, in milliseconds. */
async function timeTogether({ operate }: Server, reader: Principal): Promise<{ totalMs: number; blockedMs: number }> {
  let [blockedMs, turnAt] = [0, performance.now()];
  const timer = setInterval(() => {
    blockedMs = Math.max(blockedMs, performance.now() - turnAt - 1);
    turnAt = performance.now();
  }, 1);
  const startedAt = performance.now();
  const input = { params: {}, query: {}, body: null };
  const lists = Array.from({ length: 10 }, () => operate("listEnvironments", input, reader, { authority: null }));
  await Promise.all(lists);
  const totalMs = performance.now() - startedAt;
  await new Promise((resolve) => void setTimeout(resolve, 5));
  clearInterval(timer);
  return { totalMs, blockedMs };
}

// The server's own timers do not keep a process alive.
setInterval(() => undefined, 60_000);
const online = await createServer(10_000, 500, true);
const onlinePageMs = await timePages(online, principal, { onlineOnly: true });
const heavy = await createServer(3_000, 16_000, false);
const named = { ...principal, connectionNames: ["ci-*"] };
const namedListMs = await timePages(heavy, named, {});
const together = await timeTogether(heavy, named);
process.stdout.write(JSON.stringify({ onlinePageMs, namedListMs, tenNamedLists: together }));
process.exit();
