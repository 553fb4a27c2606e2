import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@letta-environments/client";
import { connectScriptedDevice } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { startService } from "../src/embedded-gateway.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

test("a device connects to a program that embeds the gateway and receives a message, and the program keeps its own routes", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "letta-embedded-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const service = await startService({ publicUrl, port, dataDir });
  onTestFinished(() => service.stop());
  expect(await (await fetch(`${publicUrl}/hello`)).text()).toBe("hello");
  expect((await fetch(`${publicUrl}/letta/v1/environments`)).status).toBe(401);

  const device = await connectScriptedDevice({
    ...{ baseUrl: `${publicUrl}/letta`, apiKey: service.keys.device },
    ...{ deviceId: "device-1", connectionName: "laptop" },
  });
  onTestFinished(() => device.terminate());
  const { environments } = createClient({ baseUrl: `${publicUrl}/letta`, apiKey: service.keys.caller });
  const sent = await environments.sendToDevice(
    { name: "laptop" },
    { agentId: "agent-1", messages: [{ role: "user", content: "Run the tests." }] },
  );
  expect(sent.outcome).toMatch(/^(?:started|queued)$/);
  expect(JSON.stringify(device.received.frames)).toContain("Run the tests.");
});
