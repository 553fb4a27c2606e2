import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { createRandom, type Random } from "@letta-environments/testkit";
import { afterAll, expect, test } from "vitest";
import type { EnvironmentStore } from "../src/index.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";

const directory = mkdtempSync(join(tmpdir(), "environment-row-cache-"));
afterAll(() => rmSync(directory, { recursive: true }));

const deviceIds = ["device-1", "device-2", "device-3"];
const dayMs = 24 * 3_600_000;

function createChanges(random: Random, metadataLengths = [1, 5_000]) {
  const connectionIds: string[] = [];
  const environmentIds: string[] = [];
  let nowMs = 1_000;
  const changes: readonly ((store: EnvironmentStore) => Promise<unknown>)[] = [
    async (store) => {
      const number = connectionIds.length + 1;
      const deviceId = random.pick(deviceIds);
      const result = await store.enrol({
        tenant: "acme",
        deviceId,
        listenerInstanceId: random.pick(["one", "two"]),
        connectionName: random.pick(["red", "green"]),
        metadata: { os: "x".repeat(random.pick(metadataLengths)) },
        keyId: "key-1",
        owner: "ada",
        shared: false,
        knownNames: null,
        labels: null,
        environmentId: `env-${number}`,
        connectionId: `conn-${number}`,
        nowMs,
        maxEnvironments: 100,
      });
      connectionIds.push(`conn-${number}`);
      if (result.kind === "enrolled" && !environmentIds.includes(result.environmentId)) {
        environmentIds.push(result.environmentId);
      }
    },
    (store) => store.openConnection(random.pick(connectionIds), nowMs, nowMs),
    (store) => {
      const status = { currentMode: random.pick(["standard", null]), workingDirectory: `/${nowMs}`, gitBranch: null };
      return store.saveStatus(random.pick(environmentIds), status);
    },
    (store) => store.saveLastSeen([{ environmentId: random.pick(environmentIds), lastSeenAt: nowMs }]),
    (store) => store.releaseDevice("acme", random.pick(deviceIds), () => true),
    (store) => (random.happens(0.3) ? store.removeDevice("acme", random.pick(deviceIds), () => true) : none()),
    (store) => (random.happens(0.3) ? store.removeEnvironments([random.pick(environmentIds)]) : none()),
    (store) => (random.happens(0.2) ? store.prune(nowMs + dayMs, 2) : none()),
    (store) => (random.happens(0.1) ? store.saveTime({ now: nowMs, changes: [] }) : none()),
  ];
  return {
    connectionIds,
    environmentIds,
    change(store: EnvironmentStore) {
      nowMs += 1;
      const [enrol = none] = changes;
      return (connectionIds.length < 3 ? enrol : random.pick(changes))(store);
    },
  };
}

function none(): Promise<void> {
  return Promise.resolve();
}

test("after every change of this or another process, a store reads what the file contains", async () => {
  const random = createRandom(7);
  const file = join(directory, "shared.sqlite");
  const [first, second] = [openSqlite(file), openSqlite(file)].map((database) =>
    createSqliteEnvironmentStore(database),
  );
  if (first === undefined || second === undefined) throw new TypeError("there are two stores");
  const { connectionIds, environmentIds, change } = createChanges(random);

  async function readAll(store: EnvironmentStore): Promise<unknown> {
    const filter = { tenant: "acme", afterId: null, deviceIds: null, owner: null, limit: 100 };
    return {
      connections: await Promise.all(connectionIds.map((id) => store.findConnection("acme", id))),
      ofOthers: await Promise.all(connectionIds.map((id) => store.findConnection("other", id))),
      devices: await Promise.all(deviceIds.map((id) => store.findEnvironments("acme", id))),
      all: await store.listEnvironments({ ...filter, environmentIds: null }),
      some: await store.listEnvironments({ ...filter, environmentIds: environmentIds.slice(1) }),
    };
  }

  for (let step = 0; step < 300; step++) {
    await change(random.pick([first, second]));
    const unread = createSqliteEnvironmentStore(openSqlite(file));
    const expected = await readAll(unread);
    expect(await readAll(first), `step ${step}`).toEqual(expected);
    expect(await readAll(second), `step ${step}`).toEqual(expected);
  }
  expect(environmentIds.length).toBeGreaterThan(6);
});

test("a row that is read again is the same object until it changes", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const { change, connectionIds, environmentIds } = createChanges(createRandom(1), [1]);
  while (connectionIds.length < 3) await change(store);
  const read = () => store.findConnection("acme", "conn-1");
  expect((await read())?.environment).toBe((await read())?.environment);
  const before = await read();
  await store.saveLastSeen([{ environmentId: environmentIds[0] ?? "", lastSeenAt: 9_000 }]);
  expect(await read()).toEqual({ ...before, environment: { ...before?.environment, lastSeenAt: 9_000 } });
});
