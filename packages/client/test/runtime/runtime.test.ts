import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  connectScriptedDevice,
  launchProxy,
  type LaunchedProxy,
  type ScriptedDevice,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { browserPage, runtimes } from "./runtimes.ts";
import { suite, type SuiteSetting } from "./suite.ts";

let proxy: LaunchedProxy;
let pages: Server;
let origin = "";
let device: ScriptedDevice;
let setting: SuiteSetting;

beforeAll(async () => {
  const script = await browserPage();
  pages = createServer((_request, response) => {
    response.setHeader("content-type", "text/html").end(`<!doctype html><script type="module">${script}</script>`);
  });
  await new Promise<void>((resolve) => void pages.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  const config = join(tmpdir(), `client-suite-${process.pid}.json`);
  await writeFile(config, JSON.stringify({ cors: { origins: [origin] } }));
  proxy = await launchProxy({ args: ["--config", config] });
  const connect = await proxy.createKey({ scopes: ["connect"] });
  const apiKey = await proxy.createKey({ scopes: ["list", "read", "send"] });
  const devices = { baseUrl: proxy.url, apiKey: connect };
  device = await connectScriptedDevice({ ...devices, deviceId: "online", connectionName: "the online box" });
  await (await connectScriptedDevice({ ...devices, deviceId: "offline" })).close();
  setting = { baseUrl: proxy.url, apiKey, onlineName: "the online box", offlineId: "offline" };
});

afterAll(async () => {
  await device?.close();
  await proxy?.stop();
  pages?.close();
});

describe.each(runtimes(() => origin))("on $name, against a real gateway", ({ run }) => {
  let results: Readonly<Record<string, string | null>> = {};
  beforeAll(async () => {
    results = await run(setting);
  }, 120_000);

  test.each(Object.keys(suite))("%s", (title) => {
    expect(results).toHaveProperty([title], null);
  });
});
