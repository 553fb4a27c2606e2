/** The program in its own process, against a real gateway with a real device. */
import { join } from "node:path";
import process from "node:process";
import { createClient } from "@letta-environments/client";
import {
  demoAgentId,
  type LaunchedDevice,
  launchDevice,
  launchProcess,
  type LaunchedProxy,
  launchProxy,
  registerDevice,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

let proxy: LaunchedProxy;
let device: LaunchedDevice;

beforeAll(async () => {
  proxy = await launchProxy();
  const connect = { baseUrl: proxy.url, apiKey: await proxy.createKey({ scopes: ["connect"] }) };
  device = await launchDevice({ ...connect, deviceId: "tagged", connectionName: "tagged" });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
  await registerDevice({ ...connect, deviceId: "asleep" });
  await registerDevice({ ...connect, deviceId: "untagged" });
  const manage = createClient({ baseUrl: proxy.url, apiKey: await proxy.createKey({ scopes: ["manage", "admin"] }) });
  for (const deviceId of ["tagged", "asleep"]) await manage.environments.update(deviceId, { tags: ["ci"] });
}, 60_000);
afterAll(async () => {
  await device?.kill();
  await proxy?.stop();
});

async function run(apiKey: string, words: readonly string[]) {
  const program = launchProcess({
    command: process.execPath,
    args: ["--disable-warning=ExperimentalWarning", join(import.meta.dirname, "../src/send-to-tag.ts"), ...words],
    env: { LETTA_BASE_URL: proxy.url, LETTA_API_KEY: apiKey },
  });
  const { code } = await program.exited;
  return { code, output: program.output() };
}

test("the task reaches each online device with the tag once, however often the program runs", async () => {
  const apiKey = await proxy.createKey({ scopes: ["list", "read", "send", "view"] });
  const expected = { code: 0, output: "tagged\tfinished\tpong\n" };
  expect(await run(apiKey, ["ci", demoAgentId, "ping"])).toEqual(expected);
  expect(await run(apiKey, ["ci", demoAgentId, "ping"])).toEqual(expected);
}, 60_000);

test("a key that may not send is an error for each device, and the exit code is 1", async () => {
  const apiKey = await proxy.createKey({ scopes: ["list", "read"] });
  const { code, output } = await run(apiKey, ["ci", demoAgentId, "ping"]);
  expect([code, output]).toEqual([1, expect.stringMatching(/^tagged\tnot sent\tinsufficient_scope: /)]);
});

test("a missing argument prints one line of usage and exits with 2", async () => {
  expect(await run("x", ["ci"])).toEqual({ code: 2, output: expect.stringMatching(/^usage: [^\n]*\n$/) });
});
