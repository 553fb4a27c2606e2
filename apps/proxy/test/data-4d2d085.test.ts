/** Reads a data directory that commit 4d2d085 wrote with the current code. */
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { connectScriptedDevice, type LaunchedProxy, launchProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { lockDataDir } from "../src/adapters/node/data-dir-lock.ts";
import type { ShownKey } from "../src/keys/key-view.ts";
import { ask } from "./runtimes/use-gateway.ts";

vi.setConfig({ testTimeout: 60_000 });

const fixtures = join(import.meta.dirname, "fixtures/data-4d2d085");
const files = ["audit.sqlite", "environments.sqlite", "limits.sqlite", "proxy.sqlite"];
const env = { KEY_PEPPER: "the pepper of the fixtures, 32 characters or more" };
let dataDir = "";
let keys: Readonly<Record<string, string>> = {};
let proxy: LaunchedProxy | null = null;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "data-4d2d085-"));
  for (const name of files) await copyFile(join(fixtures, name), join(dataDir, name));
  keys = JSON.parse(await readFile(join(fixtures, "keys.json"), "utf8")) as Record<string, string>;
});

afterEach(async () => {
  await proxy?.stop();
  proxy = null;
  await rm(dataDir, { recursive: true });
});

async function start(): Promise<LaunchedProxy> {
  const config = join(dataDir, "proxy.config.json");
  await writeFile(config, JSON.stringify({ rateLimits: { store: "sqlite" } }));
  proxy = await launchProxy({ dataDir, env, args: ["--config", config] });
  return proxy;
}

async function command(...args: readonly string[]): Promise<string> {
  return (await runLettaProxy([...args, "--data-dir", dataDir], env)).stdout;
}

test("every key of an older version is listed with its restrictions, and is accepted or refused as before", async () => {
  const shown = new Map(
    (JSON.parse(await command("keys", "list", "--json")) as ShownKey[]).map((key) => [key.name, key]),
  );
  expect([...shown.keys()].toSorted()).toEqual(
    Object.keys(keys)
      .filter((name) => name !== "rotated-new")
      .toSorted(),
  );
  expect(shown.get("restricted")).toMatchObject({
    deviceIds: ["laptop"],
    connectionNames: ["ci-*"],
    agentIds: ["agent-1"],
    maxMode: "acceptEdits",
    rateLimits: { "gateway-sends": "10/1m" },
    requires: [],
    state: "active",
    lastUsedAt: null,
  });
  expect(shown.get("device")).toMatchObject({ owner: "ada", description: "the devices of the fixtures" });
  expect(shown.get("caller")?.lastUsedAt).toBeGreaterThan(0);
  expect(shown.get("rotated")?.secrets).toHaveLength(2);

  const { url } = await start();
  const statuses = Object.entries(keys).map(async ([name, key]) => {
    const { status } = await ask(url, "/v1/environments", { key });
    return [name, status] as const;
  });
  expect(Object.fromEntries(await Promise.all(statuses))).toEqual({
    caller: 200,
    device: 403,
    disabled: 401,
    other: 200,
    restricted: 200,
    revoked: 401,
    rotated: 200,
    "rotated-new": 200,
    shared: 403,
  });
});

test("environments of an older version are listed within the restrictions of a key, and a device connects to its own one again", async () => {
  const { url } = await start();
  const listed = async (key: string | undefined): Promise<readonly unknown[]> => {
    const { json } = await ask(url, "/v1/environments", { key: key ?? "" });
    return (json["connections"] as { deviceId: string }[]).map(({ deviceId }) => deviceId).toSorted();
  };
  expect(await listed(keys["caller"])).toEqual(["ci-1", "laptop", "never-connected", "refusing"]);
  expect(await listed(keys["restricted"])).toEqual(["ci-1", "laptop"]);
  expect(await listed(keys["other"])).toEqual([]);
  const caller = { key: keys["caller"] ?? "" };
  const before = await ask(url, "/v1/environments/laptop", caller);
  expect(before.json).toMatchObject({ connectionName: "laptop", connectionId: null });
  const laptop = await connectScriptedDevice({ baseUrl: url, apiKey: keys["device"] ?? "", deviceId: "laptop" });
  const after = await ask(url, "/v1/environments/laptop", caller);
  expect(after.json).toMatchObject({ id: before.json["id"], connectionId: laptop.connectionId });
  await laptop.close();
});

test("a message that an older version delivered within a day is not delivered again", async () => {
  const database = openSqlite(join(dataDir, "environments.sqlite"));
  expect(
    database
      .prepare("SELECT outcome FROM environment_delivery ORDER BY id")
      .all()
      .map((row) => row["outcome"]),
  ).toEqual(["accepted", "accepted", "rejected"]);
  // As if it had been sent a minute ago: deliveries are forgotten after a day.
  database.prepare("UPDATE environment_delivery SET reserved_at = ?").run(Date.now() - 60_000);
  database.close();
  const { url } = await start();
  const device = { baseUrl: url, apiKey: keys["device"] ?? "", deviceId: "laptop" };
  const laptop = await connectScriptedDevice({ ...device, acknowledge: () => null });
  const repeated = await ask(url, `/v1/environments/${laptop.connectionId}/messages`, {
    key: keys["caller"] ?? "",
    body: JSON.stringify({
      agentId: "agent-1",
      messages: [{ role: "user", content: "hello", client_message_id: "message-1" }],
    }),
  });
  expect([repeated.status, repeated.json]).toMatchObject([200, { success: true, disposition: "started" }]);
  await laptop.close();
});

test("the audit log of an older version is intact, and new records continue it", async () => {
  expect(await command("audit", "verify")).toContain("The audit log is intact: 56 records of 12 writers.");
  await command("keys", "disable", keys["caller"]?.slice(4, 16) ?? "");
  expect(await command("audit", "verify")).toContain("The audit log is intact: 60 records of 13 writers.");
});

function versionsOf(folder: string): readonly unknown[] {
  return files.map((name) => {
    const database = openSqlite(join(folder, name));
    const version =
      name === "environments.sqlite"
        ? database.prepare("SELECT version FROM environment_schema").get()?.["version"]
        : database.prepare("PRAGMA user_version").get()?.["user_version"];
    database.close();
    return version;
  });
}

test("while a gateway runs, no command changes tables of an older version: each that needs newer ones ends with one line", async () => {
  const before = versionsOf(dataDir);
  const lock = await lockDataDir(dataDir);
  const id = keys["caller"]?.slice(4, 16) ?? "";
  const [environments, audit] = ["environments.sqlite", "audit.sqlite"].map((name) => join(dataDir, name));
  const refused: readonly (readonly [string | undefined, ...string[]])[] = [
    [environments, "devices", "list"],
    [environments, "devices", "show", "laptop"],
    [environments, "devices", "release", "laptop"],
    [environments, "devices", "remove", "laptop"],
    [environments, "explain", id, "GET", "/v1/environments"],
    [audit, "audit", "list"],
    [audit, "audit", "verify"],
    [audit, "audit", "prune", "--before", "1d"],
    [audit, "keys", "create", "--name", "x"],
    [audit, "keys", "disable", id],
    [audit, "keys", "revoke", id],
    [audit, "console", "link"],
  ];
  for (const [file, ...words] of refused) {
    const failure = await command(...words).catch((cause: unknown) => cause);
    expect([words, failure]).toMatchObject([
      words,
      {
        code: 1,
        stderr: `letta-proxy: ${file} cannot be opened: its tables have an older version, and a running gateway may need them as they are; restart the gateway with this version, or use the letta-proxy that wrote them\n`,
      },
    ]);
  }
  const archive = join(dataDir, "backup.tar");
  const restored = join(dataDir, "restored");
  expect(JSON.parse(await command("keys", "show", id, "--json"))).toMatchObject({ id, state: "active" });
  await command("config", "check");
  await command("backup", archive);
  const { stdout } = await runLettaProxy(["restore", archive, "--data-dir", restored], env);
  expect(stdout).toContain("The audit log was not verified: its tables have an older version.");
  expect([versionsOf(dataDir), versionsOf(restored)]).toEqual([before, before]);
  expect((await readdir(dataDir)).filter((name) => name.includes(".before-"))).toEqual([]);
  lock.release();
});

test("only changed tables are migrated, after a backup, so the older version can still read the other files", async () => {
  await start();
  await proxy?.stop();
  expect(versionsOf(dataDir)).toEqual([3, 11, 0, 0]);
  expect((await readdir(dataDir)).filter((name) => name.includes("backup")).toSorted()).toEqual([
    "audit.sqlite.before-v3.backup",
    "environments.sqlite.before-v11.backup",
  ]);
});

test("each backup has the tables and rows that the older version wrote, so that it can take the place of its file", async () => {
  const rowsOf = (path: string): unknown => {
    const database = openSqlite(path);
    const tables = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name").all();
    const rows = tables.map(({ name }) => database.prepare(`SELECT * FROM "${String(name)}" ORDER BY 1`).all());
    database.close();
    return { tables, rows };
  };
  await start();
  await proxy?.stop();
  const backups = (await readdir(dataDir)).filter((name) => name.endsWith(".backup"));
  expect(backups).toHaveLength(2);
  for (const backup of backups) {
    const original = join(dataDir, "original.sqlite");
    await copyFile(join(fixtures, backup.replace(/\.before-v.*$/, "")), original);
    expect(rowsOf(join(dataDir, backup))).toEqual(rowsOf(original));
  }
});

test.each(files)(
  "a start with %s of a newer version fails with one line that names the file, and does not change it",
  async (name) => {
    const path = join(dataDir, name);
    const database = openSqlite(path);
    if (name === "environments.sqlite") database.exec("UPDATE environment_schema SET version = 12");
    else database.exec("PRAGMA user_version = 12");
    database.close();
    const before = await readFile(path);
    const config = join(dataDir, "proxy.config.json");
    await writeFile(config, JSON.stringify({ rateLimits: { store: "sqlite" } }));
    const known = { "audit.sqlite": 3, "environments.sqlite": 11 }[name] ?? 1;
    const failure = await runLettaProxy(["start", "--port", "0", "--data-dir", dataDir, "--config", config], env).catch(
      (cause: { readonly stderr: string; readonly code: number }) => cause,
    );
    expect(failure).toMatchObject({
      code: 1,
      stderr: `letta-proxy: ${path} cannot be opened: the tables have version 12, and this program knows ${known}: a newer program wrote them\n`,
    });
    expect((await readFile(path)).equals(before)).toBe(true);
  },
);
