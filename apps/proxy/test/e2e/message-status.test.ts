/** The status of a message on a real device, as callers read it. */
import {
  createRelay,
  demoAgentId,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  type Relay,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

type Headers = Readonly<Record<string, string>>;

let proxy: LaunchedProxy;
let relay: Relay;
let device: LaunchedDevice;
let key: string;
let connectionId: string;

beforeAll(async () => {
  proxy = await launchProxy();
  const apiKey = await proxy.createKey({ scopes: ["connect"] });
  key = await proxy.createKey({ scopes: ["read", "send", "view"] });
  relay = await createRelay(proxy.url);
  device = await launchDevice({ baseUrl: relay.url, apiKey, deviceId: "device-status", asksPermission: true });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
  ({ connectionId } = await ask<{ connectionId: string }>("/v1/environments/device-status"));
}, 60_000);

afterAll(async () => {
  await device?.kill();
  await relay?.close();
  await proxy?.stop();
}, 60_000);

async function ask<Body>(
  path: string,
  { headers = {}, ...init }: { readonly method?: string; readonly body?: string; readonly headers?: Headers } = {},
): Promise<Body> {
  const all = { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers };
  const response = await fetch(`${proxy.url}${path}`, { ...init, headers: all });
  return (await response.json()) as Body;
}

function send(id: string, content: string, headers: Headers = {}): Promise<Record<string, unknown>> {
  const body = { agentId: demoAgentId, messages: [{ role: "user", content, client_message_id: id }] };
  const path = `/v1/environments/${connectionId}/messages`;
  return ask(path, { method: "POST", body: JSON.stringify(body), headers });
}

const statusOf = (id: string, query = ""): Promise<Record<string, unknown>> =>
  ask(`/v1/environments/${connectionId}/messages/${encodeURIComponent(id)}${query}`);

test("a send with Prefer: wait returns the outcome of its turn, as does the status of the message", async () => {
  const sent = await send("wait 1/2", "ping", { prefer: "wait=30" });
  expect(sent).toMatchObject({ success: true, disposition: "started" });
  const outcome = {
    clientMessageId: "wait 1/2",
    state: "finished",
    stopReason: "end_turn",
    text: expect.stringContaining("pong"),
    durationMs: expect.any(Number),
  };
  expect(sent["outcome"]).toMatchObject(outcome);
  expect(await statusOf("wait 1/2")).toMatchObject(outcome);
}, 60_000);

test("a message waits for permission, and becomes unknown, never finished, when its device is killed during the turn", async () => {
  await send("m-2", "Read $TRANSCRIPT_PATH");
  await relay.fromDevice.waitFor((frame) => frame.type === "control_request");
  expect(await statusOf("m-2")).toMatchObject({ state: "waiting_for_approval" });
  const waiting = statusOf("m-2", "?wait=finished&waitSeconds=1");
  const gone = proxy.process.waitForOutput(/"event":"device_disconnected"/);
  await device.kill();
  await gone;
  expect(await waiting).toMatchObject({ state: "unknown", waitSeconds: 1 });
  expect(await statusOf("m-2")).toMatchObject({ state: "unknown" });
}, 60_000);
