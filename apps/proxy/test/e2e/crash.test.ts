import { createClient } from "@letta-environments/client";
import {
  connectScriptedDevice,
  createRelay,
  demoAgentId,
  launchDevice,
  type LaunchedProxy,
  launchProxy,
  openDeviceSocket,
} from "@letta-environments/testkit";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { countNames } from "../simulation/truth.ts";
import { concurrency, sendThroughKills } from "./kill-during-sends.ts";

let dataDir: string;
let proxy: LaunchedProxy;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "letta-crash-"));
  proxy = await launchProxy({ dataDir });
}, 60_000);

afterAll(async () => {
  await proxy.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test("the environment and the result of a delivered message exist after kill -9 and a restart, and the message does not run again", async () => {
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const callerKey = await proxy.createKey({ scopes: ["list", "read", "send"] });
  const deviceOptions = { baseUrl: proxy.url, apiKey: deviceKey, deviceId: "crash" };
  const device = await connectScriptedDevice(deviceOptions);
  const before = createClient({ baseUrl: proxy.url, apiKey: callerKey });
  const row = await before.environments.retrieve("crash");
  const body = {
    agentId: demoAgentId,
    messages: [{ role: "user" as const, content: "once", client_message_id: "crash-1" }],
  };
  const send = (url: string): Promise<Response> =>
    fetch(`${url}/v1/environments/${device.connectionId}/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${callerKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const first = await send(proxy.url);
  expect(first.status).toBe(200);
  const firstBody: unknown = await first.json();
  await proxy.process.stop("SIGKILL");
  await device.closed;

  proxy = await launchProxy({ dataDir });
  const after = createClient({ baseUrl: proxy.url, apiKey: callerKey });
  expect(await after.environments.retrieve("crash")).toMatchObject({
    id: row.id,
    deviceId: "crash",
    firstSeenAt: row.firstSeenAt,
    connectionId: null,
  });
  const replayOffline = await send(proxy.url);
  expect([replayOffline.status, replayOffline.headers.get("idempotency-replayed")]).toEqual([200, "true"]);
  expect(await replayOffline.json()).toEqual(firstBody);

  // The device reconnects with its old wsUrl, at the new address.
  const wsUrl = device.wsUrl.replace(/127\.0\.0\.1:\d+/, new URL(proxy.url).host);
  const again = await openDeviceSocket(device.connectionId, wsUrl, deviceOptions);
  expect((await send(proxy.url)).status).toBe(200);
  expect(await after.environments.retrieve("crash")).toMatchObject({ connectionId: device.connectionId });
  expect(again.received.frames).toEqual([]);
  await again.close();
}, 60_000);

test("a message that a real device ran without its acknowledgement arriving becomes accepted after kill -9; one that was lost stays unknown", async () => {
  const relay = await createRelay(proxy.url, {
    loses: (frame) => {
      return frame.type === "input_accepted" || JSON.stringify(frame).includes('"client_message_id":"lost"');
    },
  });
  const device = await launchDevice({
    baseUrl: relay.url,
    apiKey: await proxy.createKey({ scopes: ["connect"] }),
    deviceId: "real",
  });
  try {
    await proxy.process.waitForOutput(/"event":"device_connected".*"deviceId":"real"/);
    const callerKey = await proxy.createKey({ scopes: ["read", "send"] });
    const { connectionId } = await createClient({ baseUrl: proxy.url, apiKey: callerKey }).environments.retrieve(
      "real",
    );
    const send = (id: string): Promise<number> =>
      fetch(`${proxy.url}/v1/environments/${connectionId}/messages`, {
        method: "POST",
        headers: { authorization: `Bearer ${callerKey}`, "content-type": "application/json" },
        body: JSON.stringify({
          agentId: demoAgentId,
          messages: [{ role: "user", content: "ping", client_message_id: id }],
        }),
      }).then(({ status }) => status);
    const cut = ["ran", "lost"].map((id) => send(id).catch(() => null));
    await relay.fromDevice.waitFor(({ type }) => type === "turn_finished");
    await relay.fromServer.waitFor((frame) => JSON.stringify(frame).includes('"client_message_id":"lost"'));
    await proxy.process.stop("SIGKILL");
    expect(await Promise.all(cut)).toEqual([null, null]);

    proxy = await launchProxy({ dataDir, port: Number(new URL(proxy.url).port) });
    await proxy.process.waitForOutput(/"event":"message_acknowledged".*"deviceId":"real".*"late":true/);
    expect([await send("ran"), await send("lost")]).toEqual([200, 504]);
    const inputs = relay.fromServer.frames.filter(({ type }) => type === "input");
    expect(inputs).toHaveLength(2);
  } finally {
    await device.kill();
    await relay.close();
  }
}, 90_000);

// `pnpm soak kills` sends 5,000.
const sends = Number(process.env["KILLED_SENDS"] ?? 60);

test.each(["embedded", "remote"] as const)(
  "with %s upstream, kill -9 at random points during sends delivers no message twice, and no success is lost",
  async (kind) => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const { counts, kills, contradictions } = await sendThroughKills({ kind, sends, sendsPerKill: 40, seed });
    const words = countNames.map((name) => `${counts[name]} ${name}`);
    process.stdout.write(`kill -9, ${kind} upstream, seed ${seed}: ${words.join(", ")}; ${kills} kills\n`);
    expect(contradictions).toEqual([]);
    expect(counts).toMatchObject({ sends, doubled: 0, untyped: 0 });
    expect(kills).toBeGreaterThan(0);
    // An unknown outcome needs a kill while the send was in flight.
    expect(counts.unknown).toBeLessThanOrEqual(kills * concurrency);
  },
  60_000 + sends * 500,
);
