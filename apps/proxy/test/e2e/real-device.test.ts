import Letta from "@letta-ai/letta-client";
import { createClient } from "@letta-environments/client";
import { isOnline } from "@letta-environments/schema";
import {
  createRelay,
  demoAgentId,
  type Frame,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  type Relay,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const deviceId = "device-e2e";
let proxy: LaunchedProxy;
let relay: Relay;
let device: LaunchedDevice;
let callerKey: string;

beforeAll(async () => {
  proxy = await launchProxy();
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  callerKey = await proxy.createKey({ scopes: ["list", "read", "send"] });
  relay = await createRelay(proxy.url);
  device = await launchDevice({ baseUrl: relay.url, apiKey: deviceKey, deviceId, connectionName: "e2e box" });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
}, 60_000);

afterAll(async () => {
  await device?.kill();
  await relay?.close();
  await proxy?.stop();
}, 60_000);

/** The reply of the device's agent to the turn that a message started, as it passes on the device's socket. */
async function replyAfter(send: () => Promise<unknown>): Promise<string> {
  const before = relay.fromDevice.frames.length;
  const isNew = (frame: Frame): boolean => relay.fromDevice.frames.indexOf(frame) >= before;
  await send();
  await relay.fromDevice.waitFor((frame) => frame.type === "turn_finished" && isNew(frame));
  return JSON.stringify(relay.fromDevice.frames.slice(before).filter((frame) => frame.type === "stream_delta"));
}

describe("a real device connected to a gateway that was started as a user would start it", () => {
  test("a real device is listed and retrieved by our client and by the official SDK with the same values", async () => {
    const client = createClient({ baseUrl: proxy.url, apiKey: callerKey });
    const sdk = new Letta({ baseURL: proxy.url, apiKey: callerKey });
    const [ours, theirs] = await Promise.all([
      client.environments.list({ onlineOnly: true, limit: 10 }),
      sdk.environments.list({ onlineOnly: "true", limit: "10" }),
    ]);
    expect(theirs).toEqual(ours);
    expect(ours.hasNextPage).toBe(false);
    const [environment, ...others] = ours.connections;
    expect(others).toEqual([]);
    expect(environment).toMatchObject({ deviceId, connectionName: "e2e box", organizationId: "default" });
    expect(environment?.metadata).toMatchObject({ os: process.platform, environmentMessageProtocol: "v2-input" });
    expect(environment !== undefined && isOnline(environment, Date.now())).toBe(true);
    const [read, readBySdk] = await Promise.all([
      client.environments.retrieve(deviceId),
      sdk.environments.retrieve(deviceId),
    ]);
    expect(read).toEqual(environment);
    expect(readBySdk).toEqual(environment);
  });

  test("a message from the client runs on the device and its reply passes on the socket", async () => {
    const client = createClient({ baseUrl: proxy.url, apiKey: callerKey });
    const { connectionId } = await client.environments.retrieve(deviceId);
    const reply = await replyAfter(async () => {
      const result = await client.environments.sendMessage(connectionId ?? "", {
        agentId: demoAgentId,
        messages: [{ role: "user", content: "ping" }],
      });
      expect(result).toMatchObject({ success: true });
    });
    expect(reply).toContain("pong");
  });

  test("a message from the official SDK runs on the device, and a repeat of it does not run again", async () => {
    const sdk = new Letta({ baseURL: proxy.url, apiKey: callerKey });
    const { connectionId } = await sdk.environments.retrieve(deviceId);
    const body = {
      agentId: demoAgentId,
      messages: [{ role: "user" as const, content: "ping", client_message_id: "sdk-1" }],
    };
    const reply = await replyAfter(async () => {
      expect(await sdk.environments.sendMessage(connectionId ?? "", body)).toMatchObject({ success: true });
    });
    expect(reply).toContain("pong");
    const inputs = relay.fromServer.frames.filter((frame) => frame.type === "input").length;
    expect(await sdk.environments.sendMessage(connectionId ?? "", body)).toMatchObject({ success: true });
    expect(relay.fromServer.frames.filter((frame) => frame.type === "input")).toHaveLength(inputs);
  });

  test("the environment contains the status that the device reports after its first turn", async () => {
    const { metadata, currentMode } = await createClient({
      baseUrl: proxy.url,
      apiKey: callerKey,
    }).environments.retrieve(deviceId);
    expect(currentMode).toBe("unrestricted");
    expect(metadata?.workingDirectory).toMatch(/work$/);
  });

  test("a stopped device goes offline, and a new message to it is refused at once and not retried", async () => {
    const client = createClient({ baseUrl: proxy.url, apiKey: callerKey });
    const sdk = new Letta({ baseURL: proxy.url, apiKey: callerKey });
    const { connectionId } = await client.environments.retrieve(deviceId);
    const gone = proxy.process.waitForOutput(/"event":"device_disconnected"/);
    await device.stop();
    await gone;
    const environment = await client.environments.retrieve(deviceId);
    expect(environment).toMatchObject({ connectionId: null, connectedAt: null, lastHeartbeat: null, podId: null });
    expect(await client.environments.list({ onlineOnly: true })).toEqual({ connections: [], hasNextPage: false });
    const before = proxy.process.output().match(/"operation":"sendMessage"/g)?.length ?? 0;
    const failure: unknown = await sdk.environments
      .sendMessage(connectionId ?? "", {
        agentId: demoAgentId,
        messages: [{ role: "user", content: "ping", client_message_id: "late" }],
      })
      .catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(Letta.ConflictError);
    expect((failure as Error).message).toBe("409 Remote environment is offline. Nothing was sent.");
    // Lines come in order: once that of a later request is there, those of the send are.
    const logged = proxy.process.waitForOutput(/"requestId":"after-the-send"/);
    await fetch(`${proxy.url}/v1/environments`, { headers: { "x-request-id": "after-the-send" } });
    await logged;
    expect(proxy.process.output().match(/"operation":"sendMessage"/g)).toHaveLength(before + 1);
  });
});
