/** `letta-proxy devices` as a user runs it: separate processes, a data directory, a running gateway. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { connectScriptedDevice, registerDevice, runLettaProxy } from "@letta-environments/testkit";
import { expect, onTestFinished, test, vi } from "vitest";
import type { ShownDevice } from "../src/admin/devices.ts";
import { useCommandLine } from "./support/use-command-line.ts";

// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const session = useCommandLine();
const { start, run } = session;
const deviceId = "88fd30f6-6337-4c38-b858-2f1581703994";

async function listed(): Promise<readonly ShownDevice[]> {
  return JSON.parse((await run(["devices", "list", "--json"])).stdout) as readonly ShownDevice[];
}

test("devices list and show print the devices of a running gateway with the keys that own them", async () => {
  const proxy = await start();
  const apiKey = await proxy.createKey({ scopes: ["connect"] });
  await connectScriptedDevice({ baseUrl: proxy.url, apiKey, deviceId, connectionName: "demo" });
  const ownerKeyId = apiKey.slice(4, 16);
  const table = (await run(["devices", "list"])).stdout;
  expect(table).toMatch(/^DEVICE +NAME +TENANT +OWNER KEY +LAST SEEN\n/);
  expect(table).toMatch(new RegExp(`${deviceId} +demo +default +${ownerKeyId} `));
  expect((await run(["devices", "show", deviceId])).stdout).toContain("demo");
  const devices = await listed();
  expect(devices).toEqual([expect.objectContaining({ deviceId, connectionName: "demo", ownerKeyId, online: null })]);
  expect(JSON.parse((await run(["devices", "show", deviceId, "--json"])).stdout)).toEqual(devices);
  expect(await run(["devices", "show", "nobody"])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("there is no device with this id"),
  });
});

test("devices remove disconnects a connected device of a running gateway, and is in the audit log", async () => {
  const proxy = await start();
  const apiKey = await proxy.createKey({ scopes: ["connect"] });
  const reader = await proxy.createKey({ scopes: ["read"] });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey, deviceId, connectionName: "demo" });
  expect(await run(["devices", "remove", deviceId])).toEqual({ code: 0, stdout: `Removed ${deviceId}\n`, stderr: "" });
  expect(await device.closed).toBe(1008);
  const read = await fetch(`${proxy.url}/v1/environments/${deviceId}`, {
    headers: { authorization: `Bearer ${reader}` },
  });
  expect(read.status).toBe(404);
  expect(await listed()).toEqual([]);
  expect((await run(["devices", "remove", deviceId])).code).toBe(1);
  const audited = (await run(["audit", "list", "--device", deviceId, "--event", "device", "--json"])).stdout;
  expect(
    audited
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { type: string }).type),
  ).toEqual(["device_change_started", "device_changed"]);
  expect((await run(["audit", "list", "--action", "removed"])).stdout).toContain("device removed");
  expect((await run(["audit", "verify"])).code).toBe(0);
});

test("another key of a running gateway can enrol a device after devices release, although its first key was revoked", async () => {
  const proxy = await start();
  const first = await proxy.createKey({ scopes: ["connect"] });
  const second = await proxy.createKey({ scopes: ["connect"] });
  const options = { baseUrl: proxy.url, deviceId, connectionName: "demo" };
  await registerDevice({ ...options, apiKey: first });
  await run(["keys", "revoke", first.slice(4, 16)]);
  expect((await registerDevice({ ...options, apiKey: second })).status).toBe(403);
  expect((await run(["devices", "release", deviceId])).stdout).toBe(
    `Released ${deviceId}; the next key of its tenant that enrols it owns it.\n`,
  );
  expect((await registerDevice({ ...options, apiKey: second })).status).toBe(200);
  expect((await listed())[0]?.ownerKeyId).toBe(second.slice(4, 16));
});

test("the commands for devices work without a running gateway, create no file of devices, and leave nothing of a removed device in it", async () => {
  await run(["keys", "create", "--name", "n"]);
  expect(await run(["devices", "list"])).toEqual({ code: 0, stdout: "", stderr: "There are no devices.\n" });
  expect(await run(["devices", "list", "--json"])).toEqual({ code: 0, stdout: "[]\n", stderr: "" });
  expect((await run(["devices", "remove", deviceId])).code).toBe(1);
  expect(await readdir(session.dataDir)).not.toContain("environments.sqlite");
  const proxy = await start();
  const apiKey = await proxy.createKey({ scopes: ["connect"], tenant: "acme" });
  await registerDevice({ baseUrl: proxy.url, apiKey, deviceId });
  await proxy.stop();
  expect((await run(["devices", "remove", deviceId])).code).toBe(1);
  expect((await run(["devices", "remove", deviceId, "--tenant", "acme"])).code).toBe(0);
  expect(await listed()).toEqual([]);
  const database = openSqlite(join(session.dataDir, "environments.sqlite"));
  onTestFinished(() => database.close());
  expect(database.prepare("SELECT * FROM environment").all()).toEqual([]);
});

test("the commands for devices with --url administer a remote gateway with a key of scope admin, and show which devices are online", async () => {
  const proxy = await start();
  const apiKey = await proxy.createKey({ scopes: ["connect"] });
  const admin = await proxy.createKey({ scopes: ["admin"] });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey, deviceId, connectionName: "demo" });
  const far = (...words: readonly string[]): Promise<{ readonly stdout: string }> =>
    runLettaProxy(["devices", ...words, "--url", proxy.url], { ADMIN_TOKEN: admin });
  expect((await far("list")).stdout).toMatch(new RegExp(`${deviceId} +demo +default +\\S+ +.* yes\n`));
  expect(JSON.parse((await far("show", deviceId, "--json")).stdout)).toEqual([
    expect.objectContaining({ deviceId, online: true, connectionId: device.connectionId }),
  ]);
  await far("release", deviceId);
  expect((await listed())[0]?.ownerKeyId).toBeNull();
  expect((await far("remove", deviceId)).stdout).toBe(`Removed ${deviceId}\n`);
  expect(await device.closed).toBe(1008);
  await expect(far("remove", deviceId)).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("404") });
});

test("with a remote upstream, the commands report that its devices are not administered here", async () => {
  const env = { UPSTREAM_URL: "http://127.0.0.1:9" };
  expect(await run(["devices", "list"], env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("remote environment server"),
  });
});

test("devices invite prints one command whose key is an invitation, and reports a broken option by its name", async () => {
  const proxy = await start();
  const { stdout } = await run(["devices", "invite", "--tag", "ci", "--gateway", proxy.url]);
  const [, apiKey = ""] =
    /^LETTA_BASE_URL=\S+ LETTA_API_KEY=(lek_\S+) .* --computer-name "\$\(hostname\)"\n$/.exec(stdout) ?? [];
  const { url: baseUrl } = proxy;
  await connectScriptedDevice({ baseUrl, apiKey, deviceId, connectionName: "demo" });
  const refused = await registerDevice({ baseUrl, apiKey, deviceId: "another", connectionName: "demo" });
  expect(refused).toMatchObject({ status: 403, body: { errorCode: "device_not_allowed" } });
  expect((await listed())[0]).toMatchObject({ deviceId, tags: ["ci"], ownerKeyId: apiKey.slice(4, 16) });
  expect((await run(["devices", "list"])).stdout).toMatch(/ TAGS\n.* ci\n/);
  expect((await run(["keys", "show", apiKey.slice(4, 16)])).stdout).toMatch(/Invitation +used .*tags ci\n/);
  expect(await run(["devices", "invite", "--expires", "soon"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--expires must be a duration"),
  });
  const env = { UPSTREAM_URL: "http://127.0.0.1:9" };
  expect((await run(["devices", "invite"], env)).stderr).toContain("remote environment server");
});
