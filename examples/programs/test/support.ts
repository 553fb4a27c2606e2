import { createServer } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectScriptedDevice, launchProxy } from "@letta-environments/testkit";

/** A gateway with one device that takes every message, and a key for callers. */
export interface GatewayWithDevice {
  readonly url: string;
  readonly apiKey: string;
  /** The texts of the messages that the device received. */
  messages(): string;
  stop(): Promise<void>;
}

/** Starts a gateway whose device is called `laptop`. @param origins web pages that may call it */
export async function launchGatewayWithDevice(origins: readonly string[] = []): Promise<GatewayWithDevice> {
  const folder = await mkdtemp(join(tmpdir(), "letta-example-"));
  await writeFile(join(folder, "proxy.config.json"), JSON.stringify(origins.length === 0 ? {} : { cors: { origins } }));
  const proxy = await launchProxy({ args: ["--config", join(folder, "proxy.config.json")] });
  const connect = await proxy.createKey({ scopes: ["connect"] });
  const device = await connectScriptedDevice({
    ...{ baseUrl: proxy.url, apiKey: connect },
    ...{ deviceId: "device-1", connectionName: "laptop" },
  });
  return {
    url: proxy.url,
    apiKey: await proxy.createKey({ scopes: ["list", "read", "send"] }),
    messages: () => JSON.stringify(device.received.frames),
    async stop() {
      await device.terminate();
      await proxy.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** Serves one page of HTML on loopback. */
export async function servePage(html: () => string): Promise<{ readonly origin: string; close(): void }> {
  const server = createServer((_request, response) => response.setHeader("content-type", "text/html").end(html()));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() };
}
