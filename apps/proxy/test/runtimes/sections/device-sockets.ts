import {
  acknowledgeAsStarted,
  connectScriptedDevice,
  registerDevice,
  type ScriptedDeviceOptions,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSocket, parseResponse, readToEnd, requestHead, sendRaw } from "../../support/raw-http.ts";
import type { LaunchedGateway, RuntimeLauncher } from "../launcher.ts";
import { ask } from "../use-gateway.ts";
import { message } from "./sending.ts";

const handshake = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};

/** Devices of the embedded environment server: registration, sockets, sends, and refusals before any handshake. */
export function describeDeviceSockets(launcher: RuntimeLauncher): void {
  let gateway: LaunchedGateway;
  let deviceKey = "";
  let callerKey = "";

  beforeAll(async () => {
    gateway = await launcher.launch({ config: {}, environment: {} });
    ({ key: deviceKey } = await gateway.createKey({ scopes: ["connect"] }));
    ({ key: callerKey } = await gateway.createKey({ scopes: ["list", "read", "send"] }));
  }, 60_000);
  afterAll(() => gateway.stop());

  const device = (deviceId: string, apiKey: string = deviceKey): ScriptedDeviceOptions => ({
    baseUrl: gateway.url,
    apiKey,
    deviceId,
  });

  test("the first frame of a device may be a large status, as after a reconnect while a large request waits for permission", async () => {
    const box = await connectScriptedDevice(device("large-status"));
    const input = { content: "x".repeat(400 * 1_024) };
    const request = { subtype: "can_use_tool", tool_name: "Write", input, tool_call_id: "call-1" };
    const runtime = { agent_id: "agent-1", conversation_id: "default" };
    const status = { pending_control_requests: [{ request_id: "perm-call-1", request }] };
    box.send({ type: "update_device_status", device_status: status, runtime });
    await box.ping();
    const { key } = await gateway.createKey({ scopes: ["read", "approve"] });
    const shown = await ask(gateway.url, "/v1/environments/large-status", { key });
    expect(shown.json["pendingApprovals"]).toBe(1);
    await box.close();
  });

  test("a device that floods frames is closed with 1013, and another device still receives its message", async () => {
    const [flooding, victim] = [
      await connectScriptedDevice(device("flooding")),
      await connectScriptedDevice(device("victim")),
    ];
    for (let frame = 0; frame < 6_000; frame++) flooding.send({ type: "stream_delta", frame });
    expect(await flooding.closed).toBe(1013);
    const answer = await ask(gateway.url, `/v1/environments/${victim.connectionId}/messages`, {
      key: callerKey,
      body: message("m-1"),
    });
    expect(answer.status).toBe(200);
    await victim.close();
  });

  test("a message reaches the device, and its acknowledgement is the response", async () => {
    const box = await connectScriptedDevice(device("box"));
    const answer = await ask(gateway.url, `/v1/environments/${box.connectionId}/messages`, {
      key: callerKey,
      body: message("s-1", "é \u{1f600}"),
    });
    expect([answer.status, answer.json]).toMatchObject([200, { success: true, disposition: "started" }]);
    const input = await box.received.waitFor((frame) => frame.type === "input");
    expect(JSON.stringify(input)).toContain("é \u{1f600}");
    const shown = await ask(gateway.url, "/v1/environments/box", { key: callerKey });
    expect(shown.json["connectionId"]).toBe(box.connectionId);
    await box.close();
  });

  test("a message of a megabyte reaches the device completely", async () => {
    const box = await connectScriptedDevice(device("large"));
    const content = "x".repeat(1_000_000);
    const target = `/v1/environments/${box.connectionId}/messages`;
    const answer = await ask(gateway.url, target, { key: callerKey, body: message("s-2", content) });
    expect(answer.status).toBe(200);
    const input = await box.received.waitFor((frame) => frame.type === "input");
    expect(JSON.stringify(input)).toContain(content);
    await box.close();
  });

  test("a device that registers again replaces its socket, and one that disconnects is offline at once", async () => {
    const first = await connectScriptedDevice(device("again"));
    const second = await connectScriptedDevice(device("again"));
    expect(await first.closed).toBe(1000);
    await second.terminate();
    const answer = await ask(gateway.url, `/v1/environments/${second.connectionId}/messages`, {
      key: callerKey,
      body: message("s-3"),
    });
    expect([answer.status, answer.json["errorCode"]]).toEqual([409, "device_offline"]);
  });

  test("a refused upgrade is plain HTTP with a problem, without a handshake", async () => {
    const { body } = await registerDevice(device("refused"));
    const target = `/v1/environments/${String(body["connectionId"])}/socket`;
    const { key: otherKey } = await gateway.createKey({ scopes: ["connect"] });
    const cases = [
      ["no key", "", 401],
      ["a wrong key", "Bearer lek_wrong", 401],
      ["a key without the scope", `Bearer ${callerKey}`, 403],
      ["the key of another device", `Bearer ${otherKey}`, 403],
    ] as const;
    for (const [what, authorization, status] of cases) {
      const head = requestHead("GET", target, { ...handshake, authorization });
      const answer = await sendRaw(gateway.url, head);
      expect([what, answer.status, answer.headers["content-type"]]).toEqual([what, status, "application/problem+json"]);
    }
  });

  test("a plain request to the socket's path is 426 with Connection: upgrade, and the connection closes", async () => {
    const { body } = await registerDevice(device("plain"));
    const target = `/v1/environments/${String(body["connectionId"])}/socket`;
    const socket = await openSocket(gateway.url);
    socket.write(requestHead("GET", target, { connection: "keep-alive", authorization: `Bearer ${deviceKey}` }));
    const { status, headers } = parseResponse(await readToEnd(socket));
    expect([status, headers["upgrade"], headers["connection"]]).toEqual([426, "websocket", "close, Upgrade"]);
  });

  test("the connection of an earlier registration can no longer open its socket", async () => {
    const { body } = await registerDevice(device("earlier"));
    const later = await connectScriptedDevice(device("earlier"));
    const target = `/v1/environments/${String(body["connectionId"])}/socket`;
    const authorization = `Bearer ${deviceKey}`;
    const answer = await sendRaw(gateway.url, requestHead("GET", target, { ...handshake, authorization }));
    expect([answer.status, answer.headers["content-type"]]).toEqual([409, "application/problem+json"]);
    await later.close();
  });

  test("a ping gets a pong, and a frame that is too large closes only its own socket", async () => {
    const box = await connectScriptedDevice(device("pings"));
    await box.ping();
    const large = await connectScriptedDevice(device("too-large"));
    large.send({ type: "x".repeat(16 * 1024 * 1024 + 1) });
    expect([1006, 1009]).toContain(await large.closed);
    await box.ping();
    await box.close();
  });

  test("a stop closes device sockets with 1001 after the requests in flight are complete", async () => {
    const own = await launcher.launch({ config: {}, environment: {} });
    const [device1, caller] = [await own.createKey({ scopes: ["connect"] }), await own.createKey({ scopes: ["send"] })];
    const box = await connectScriptedDevice({
      ...device("stopping", device1.key),
      baseUrl: own.url,
      acknowledge: () => null,
    });
    const sending = ask(own.url, `/v1/environments/${box.connectionId}/messages`, {
      key: caller.key,
      body: message("s-4"),
    });
    const input = await box.received.waitFor((frame) => frame.type === "input");
    const stopped = own.stop();
    box.send(acknowledgeAsStarted(input));
    expect((await sending).status).toBe(200);
    expect(await box.closed).toBe(1001);
    await stopped;
  });

  test("a handshake with another WebSocket version is refused with a problem", async () => {
    const { body } = await registerDevice(device("old"));
    const target = `/v1/environments/${String(body["connectionId"])}/socket`;
    const socket = await openSocket(gateway.url);
    const authorization = `Bearer ${deviceKey}`;
    socket.write(requestHead("GET", target, { ...handshake, "sec-websocket-version": "7", authorization }));
    const answer = parseResponse(await readToEnd(socket));
    expect([answer.status, answer.headers["content-type"]]).toEqual([426, "application/problem+json"]);
    expect(answer.headers["sec-websocket-version"]).toBe("13");
  });
}
