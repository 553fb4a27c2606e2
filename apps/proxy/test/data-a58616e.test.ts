/** Reads a data directory that commit a58616e wrote with the current code. Its audit file does not remember sends yet. */
import { copyFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { connectScriptedDevice, launchProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ask } from "./runtimes/use-gateway.ts";

vi.setConfig({ testTimeout: 60_000 });

const fixtures = join(import.meta.dirname, "fixtures/data-a58616e");
const env = { KEY_PEPPER: "the pepper of the fixtures, 32 characters or more" };
let dataDir = "";

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "data-a58616e-"));
  for (const name of ["audit.sqlite", "environments.sqlite", "proxy.sqlite"]) {
    await copyFile(join(fixtures, name), join(dataDir, name));
  }
});

afterEach(() => rm(dataDir, { recursive: true }));

async function verify(): Promise<string> {
  return (await runLettaProxy(["audit", "verify", "--data-dir", dataDir], env)).stdout;
}

function versionOf(name: string): unknown {
  const database = openSqlite(join(dataDir, name));
  const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
  database.close();
  return version;
}

test("the audit file is backed up, gets the new tables for sends and deleted records, and stays intact", async () => {
  expect(await verify()).toContain("The audit log is intact: 16 records of 3 writers.");
  expect([versionOf("audit.sqlite"), versionOf("audit.sqlite.before-v3.backup")]).toEqual([3, 1]);
  expect((await readdir(dataDir)).filter((name) => name.includes("backup"))).toEqual(["audit.sqlite.before-v3.backup"]);
});

test("a gateway continues the audit log, and its keys and devices work as before", async () => {
  const keys = JSON.parse(await readFile(join(fixtures, "keys.json"), "utf8")) as Readonly<Record<string, string>>;
  const proxy = await launchProxy({ dataDir, env });
  const device = { baseUrl: proxy.url, apiKey: keys["device"] ?? "", deviceId: "laptop" };
  const laptop = await connectScriptedDevice(device);
  const sent = await ask(proxy.url, `/v1/environments/${laptop.connectionId}/messages`, {
    key: keys["caller"] ?? "",
    body: JSON.stringify({
      agentId: "agent-1",
      messages: [{ role: "user", content: "hello", client_message_id: "message-3" }],
    }),
  });
  expect([sent.status, sent.json]).toMatchObject([200, { success: true }]);
  await laptop.close();
  await proxy.stop();
  expect(await verify()).toContain("The audit log is intact: 20 records of 4 writers.");
});
