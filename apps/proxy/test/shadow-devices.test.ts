/** Devices of a key whose allowlist is in shadow mode, on a real gateway that reads its configuration again. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectScriptedDevice, launchProxy } from "@letta-environments/testkit";
import { expect, onTestFinished, test, vi } from "vitest";

vi.setConfig({ testTimeout: 60_000 });

test("a device outside the allowlist stays connected in shadow mode, the log warns of it, and it is closed when shadow mode ends", async () => {
  const folder = await mkdtemp(join(tmpdir(), "letta-proxy-shadow-"));
  const file = join(folder, "proxy.config.json");
  await writeFile(file, "{}");
  const proxy = await launchProxy({ args: ["--config", file] });
  onTestFinished(async () => {
    await proxy.stop();
    await rm(folder, { recursive: true });
  });
  const key = await proxy.createKey({ scopes: ["connect"], deviceIds: ["device-1"] });
  const [, keyId = ""] = key.split("_");
  const connect = () => connectScriptedDevice({ baseUrl: proxy.url, apiKey: key, deviceId: "device-2" });
  await expect(connect()).rejects.toThrow(/403.*device_not_allowed/);

  const isShadowed = proxy.process.waitForOutput(/"event":"shadow_mode".*"level":"warn"/);
  await writeFile(file, JSON.stringify({ shadow: { keyIds: [keyId], rules: ["devices"] } }));
  await isShadowed;
  const isKept = proxy.process.waitForOutput(/"event":"socket_shadowed".*"deviceId":"device-2".*"level":"warn"/);
  const device = await connect();
  await isKept;
  expect(proxy.process.output()).toMatch(
    /"operation":"registerEnvironment","status":200.*"shadowRefusedBy":\["device_not_allowed"\]/,
  );
  expect(proxy.process.output()).not.toContain('"event":"device_disconnected"');

  const isClosed = proxy.process.waitForOutput(/"event":"device_disconnected".*"reason":"key_ended"/);
  await writeFile(file, "{}");
  await isClosed;
  await device.close();
});
