/** A device socket belongs to the secret that opened it: real sockets of a running gateway, and changes by the command line. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connectScriptedDevice, launchProxy, registerDevice } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { useCommandLine } from "./support/use-command-line.ts";

// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const session = useCommandLine();
const { start, run } = session;

/** A gateway with a device of one key. */
async function connectDevice(deviceId = "device-1") {
  const proxy = await start();
  const apiKey = await proxy.createKey({ scopes: ["connect"] });
  const options = { baseUrl: proxy.url, deviceId };
  const device = await connectScriptedDevice({ ...options, apiKey });
  return { proxy, apiKey, id: apiKey.slice(4, 16), options, device };
}

interface ListedKey {
  readonly expiresAt: number | null;
  readonly secrets: readonly { readonly expiresAt: number | null }[];
}

/** The only key, as the command line lists it. How soon a change of it closes a socket is tested on a virtual clock (`src/keys/socket-key-watch.test.ts`). */
async function listedKey(): Promise<ListedKey> {
  const [key] = JSON.parse((await run(["keys", "list", "--json"])).stdout) as readonly ListedKey[];
  if (key === undefined) throw new Error("there is no key");
  return key;
}

test("a rotation without an overlap closes the socket of the old secret, and the device connects with the new one", async () => {
  const { id, device, options, apiKey } = await connectDevice();
  const renewed = (await run(["keys", "rotate", id, "--overlap", "0s"])).stdout.trim();
  expect(await device.closed).toBe(1008);
  expect((await registerDevice({ ...options, apiKey })).status).toBe(401);
  const next = await connectScriptedDevice({ ...options, apiKey: renewed });
  await next.ping();
});

test("a rotation with an overlap closes the socket of the old secret when the overlap ends, and leaves that of the new one open", async () => {
  const { id, device, options } = await connectDevice();
  const renewed = (await run(["keys", "rotate", id, "--overlap", "6s"])).stdout.trim();
  const next = await connectScriptedDevice({ ...options, deviceId: "device-2", apiKey: renewed });
  const closedAt = device.closed.then(() => Date.now());
  const { secrets } = await listedKey();
  expect(await device.closed).toBe(1008);
  expect(await closedAt).toBeGreaterThanOrEqual(Number(secrets[1]?.expiresAt));
  await next.ping();
});

test.each(["revoke", "disable"])(
  "the command keys %s closes the socket, and the device cannot register again",
  async (command) => {
    const { id, device, options, apiKey } = await connectDevice();
    await run(["keys", command, id]);
    expect(await device.closed).toBe(1008);
    expect((await registerDevice({ ...options, apiKey })).status).toBe(401);
  },
);

test("the socket of a key that gets an earlier expiry is closed when that time comes", async () => {
  const { id, device } = await connectDevice();
  const closedAt = device.closed.then(() => Date.now());
  await run(["keys", "update", id, "--expires", "3s"]);
  const { expiresAt } = await listedKey();
  expect(await device.closed).toBe(1008);
  expect(await closedAt).toBeGreaterThanOrEqual(Number(expiresAt));
});

test("a tenant whose devices the configuration no longer allows loses their sockets", async () => {
  const file = join(session.dataDir, "proxy.config.json");
  await writeFile(file, "{}");
  const proxy = await launchProxy({ dataDir: session.dataDir, args: ["--config", file] });
  try {
    const apiKey = await proxy.createKey({ scopes: ["connect"] });
    const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey, deviceId: "device-1" });
    await writeFile(file, JSON.stringify({ tenants: { default: { deviceIds: ["another"] } } }));
    expect(await device.closed).toBe(1008);
    expect((await registerDevice({ baseUrl: proxy.url, apiKey, deviceId: "device-1" })).status).toBe(403);
  } finally {
    await proxy.stop();
  }
});

test("after a restart with another pepper no existing key connects a device, and the start gives the reason", async () => {
  const env = { KEY_PEPPER: "one".repeat(11) };
  const first = await start(env);
  const created = await run(["keys", "create", "--name", "n", "--scope", "connect"], env);
  const apiKey = created.stdout.trim();
  const device = await connectScriptedDevice({ baseUrl: first.url, apiKey, deviceId: "device-1" });
  await first.process.stop();
  expect(await device.closed).toBe(1001);
  const other = await run(["start", "--port", "0"], { KEY_PEPPER: "two".repeat(11) });
  expect([other.code, other.stderr]).toEqual([1, expect.stringContaining("this is not the pepper of")]);
});
