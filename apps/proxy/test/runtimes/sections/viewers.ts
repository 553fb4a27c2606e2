import { once } from "node:events";
import {
  connectScriptedDevice,
  createVendorClient,
  type ProtocolFrame,
  type ScriptedDevice,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { requestHead, sendRaw } from "../../support/raw-http.ts";
import type { LaunchedGateway, RuntimeLauncher } from "../launcher.ts";
import { ask } from "../use-gateway.ts";

const page = "https://console.example";
const runtime = { agent_id: "agent-1", conversation_id: "default" };

/** Viewers of a device, over the embedded environment server. */
export function describeViewers(launcher: RuntimeLauncher): void {
  let gateway: LaunchedGateway;
  let device: ScriptedDevice;
  let key = "";
  let url = "";

  beforeAll(async () => {
    gateway = await launcher.launch({ config: { cors: { origins: [page] } }, environment: {} });
    const { key: deviceKey } = await gateway.createKey({ scopes: ["connect"] });
    ({ key } = await gateway.createKey({ scopes: ["view", "send"] }));
    device = await connectScriptedDevice({ baseUrl: gateway.url, apiKey: deviceKey, deviceId: "viewed" });
    url = `${gateway.url}/v1/environments/${device.connectionId}/status/ws`;
  }, 60_000);
  afterAll(async () => {
    await device?.close();
    await gateway?.stop();
  });

  test("the vendor's client sends a message and sees what the device reports", async () => {
    const client = await createVendorClient({ url, authToken: key });
    await client.connect();
    const seen = new Promise<ProtocolFrame>((resolve) =>
      client.onMessage((frame) => (frame.type === "turn_finished" ? resolve(frame) : undefined)),
    );
    const messages = [{ role: "user", content: "hello é \u{1f600}" }];
    const accepted = await client.submitInput({ runtime, payload: { kind: "create_message", messages } });
    expect(accepted).toMatchObject({ accepted: true, disposition: "started" });
    device.send({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
    expect(await seen).toMatchObject({ runtime, stop_reason: "end_turn", seq: expect.any(Number) });
    client.close();
  });

  test("a page of a listed origin opens the socket with a ticket, once, and other pages are refused", async () => {
    const response = await ask(gateway.url, `/v1/environments/${device.connectionId}/status/ws-ticket`, {
      key,
      method: "POST",
    });
    const ticketUrl = `${url.replace("http", "ws")}?token=${String(response.json["ticket"])}`;
    const other = await sendRaw(
      gateway.url,
      requestHead("GET", new URL(ticketUrl).pathname, { ...handshake, origin: "https://other.example" }),
    );
    expect(other.status).toBe(403);
    const socket = new WebSocket(ticketUrl, { origin: page });
    await once(socket, "open");
    socket.close();
    const again = new WebSocket(ticketUrl, { origin: page });
    const [error] = (await once(again, "error")) as [Error];
    expect(error.message).toContain("401");
  });

  test("a viewer that does not read is dropped, and its device and other viewers continue", async () => {
    const slow = new WebSocket(url, { headers: { authorization: `Bearer ${key}` } });
    await once(slow, "open");
    slow.pause();
    const client = await createVendorClient({ url, authToken: key });
    await client.connect();
    let seen: unknown = null;
    let onSeen = (): void => undefined;
    client.onMessage(({ delta }) => {
      seen = delta;
      onSeen();
    });
    // The other viewer keeps up, since the device waits for it.
    for (let batch = 0; batch < 14; batch++) {
      for (let frame = 0; frame < 10; frame++)
        device.send({ type: "stream_delta", runtime, delta: "x".repeat(100_000) });
      device.send({ type: "stream_delta", runtime, delta: batch });
      await new Promise<void>((resolve) => (onSeen = () => (seen === batch ? resolve() : undefined)));
    }
    await device.ping();
    const closed = once(slow, "close");
    slow.resume();
    const [code] = await closed;
    expect(code).toBe(1006);
    client.close();
  });
}

const handshake = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};
