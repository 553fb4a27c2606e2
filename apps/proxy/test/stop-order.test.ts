/** The order in which a gateway stops: what still happens because of the stop is recorded before the audit log closes. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "@letta-environments/platform/node";
import { connectScriptedDevice, createFakeUpstream } from "@letta-environments/testkit";
import { expect, onTestFinished, test, vi } from "vitest";
import { nodeKeyMint } from "../src/runtimes/node/keys.ts";
import type { LogEvent } from "../src/adapters/log-event.ts";
import { resolveSettings } from "../src/config/resolve.ts";
import { createKey, type KeyRequest } from "../src/keys/key-lifecycle.ts";
import { openInstance } from "../src/runtimes/server/instance.ts";
import { environmentRow } from "./support/environment-row.ts";
import { openSocket, requestHead } from "./support/raw-http.ts";

/** A gateway that listens, and a key. */
async function start(more: Readonly<Record<string, string>> = {}, rights: Partial<KeyRequest> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "letta-stop-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const environment = { DATA_DIR: folder, PORT: "0", ...more };
  const resolved = resolveSettings({ flags: {}, environment, file: undefined });
  if (!resolved.ok) throw new Error("unreachable");
  const events: LogEvent[] = [];
  const open = async () => {
    const instance = await openInstance(resolved.settings, (event) => void events.push(event));
    return { instance, main: (await instance.listen()).main };
  };
  const { instance, main } = await open();
  const { keys, keyStoreFor } = instance.resources;
  const minted = createKey(
    { tenant: "default", name: "caller", scopes: ["send"], ...rights },
    systemClock.now(),
    nodeKeyMint(keys.pepper),
  );
  await keyStoreFor({ kind: "start" }).create(minted.record);
  const send = async (url: string, connectionId: string): Promise<unknown> => {
    const response = await fetch(`${url}/v1/environments/${connectionId}/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${minted.key}`, "content-type": "application/json" },
      body: JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "Hi.", client_message_id: "m1" }] }),
    });
    return { status: response.status, ...((await response.json()) as object) };
  };
  return { instance, main, events, key: minted.key, send, reopen: open };
}

test("a send whose body has not arrived when the gateway stops is recorded as refused, and the audit log does not fail", async () => {
  const { instance, main, events, key } = await start();
  const { audit } = instance.resources;
  const socket = await openSocket(main.url);
  socket.on("error", () => undefined);
  const headers = { authorization: `Bearer ${key}`, "content-length": "100", expect: "100-continue" };
  socket.write(requestHead("POST", "/v1/environments/c/messages", headers));
  // The gateway has opened the record of the send and awaits its body.
  expect(String((await once(socket, "data"))[0])).toContain("100 Continue");
  if (audit === null) throw new Error("unreachable");
  const append = vi.spyOn(audit, "append");
  await instance.close(0, [main.connections]);

  expect(events.filter(({ type }) => type === "audit_failed" || type === "internal_error")).toEqual([]);
  expect(append.mock.calls).toEqual([[expect.objectContaining({ type: "send_refused", status: 499 })]]);
  expect(append.mock.settledResults.map(({ type }) => type)).toEqual(["fulfilled"]);
});

test("the last push of the metrics has the requests that the stop ends", async () => {
  const pushed: string[] = [];
  const receiver = createServer((incoming, outgoing) => {
    void text(incoming).then((body) => {
      if (incoming.url === "/v1/metrics") pushed.push(body);
      outgoing.end("{}");
    });
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void receiver.close());
  await once(receiver, "listening");
  const endpoint = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const { instance, main, events, key } = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
  const socket = await openSocket(main.url);
  socket.on("error", () => undefined);
  const headers = { authorization: `Bearer ${key}`, "content-length": "100", expect: "100-continue" };
  socket.write(requestHead("POST", "/v1/environments/c/messages", headers));
  await once(socket, "data");
  await instance.close(0, [main.connections]);
  expect(events.filter(({ type }) => type === "request")).toHaveLength(1);
  expect(pushed).toHaveLength(1);
  expect(pushed[0]).toContain("/v1/environments/{connectionId}/messages");
});

test("a send to which the upstream has not responded when the gateway stops is delivery_unknown for its caller, its record and its repeats", async () => {
  const received = Promise.withResolvers<void>();
  const upstream = await createFakeUpstream(({ method }, response) => {
    if (method === "POST") return received.resolve();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ connections: [environmentRow("1")], hasNextPage: false }));
  });
  onTestFinished(() => upstream.close());
  const { instance, main, events, send, reopen } = await start({
    UPSTREAM_URL: upstream.url,
    LETTA_API_KEY: "sk-upstream",
  });
  const { audit } = instance.resources;
  if (audit === null) throw new Error("unreachable");
  const append = vi.spyOn(audit, "append");
  const stopping = received.promise.then(() => instance.close(0, [main.connections]));
  const [answer] = await Promise.all([send(main.url, "conn-1"), stopping]);

  const unknown = { status: 504, errorCode: "delivery_unknown", delivery: "unknown" };
  const detail = expect.stringContaining("The gateway stopped before the upstream had responded.");
  expect(answer).toMatchObject({ ...unknown, detail });
  expect(events.filter(({ type }) => type.startsWith("upstream_"))).toEqual([]);
  expect(append.mock.calls.at(-1)).toEqual([expect.objectContaining({ type: "send_finished", status: 504 })]);
  const next = await reopen();
  expect(await send(next.main.url, "conn-1")).toMatchObject(unknown);
  await next.instance.close(0, [next.main.connections]);
  expect(upstream.seen.filter(({ method }) => method === "POST")).toHaveLength(1);
});

test("a send that its device has not acknowledged when the gateway stops is delivery_unknown for its caller, its record and its repeats", async () => {
  const { instance, main, key, send, reopen } = await start({}, { scopes: ["send", "connect"] });
  const { audit } = instance.resources;
  if (audit === null) throw new Error("unreachable");
  const write = audit.append;
  const { closeDevices } = instance.resources;
  const closed = Promise.withResolvers<void>();
  vi.spyOn(instance.resources, "closeDevices").mockImplementation(() => closeDevices().finally(closed.resolve));
  // Storing the outcome takes longer than closing the socket of the device.
  const append = vi.spyOn(audit, "append").mockImplementation(async (entry) => {
    if (entry.type === "send_finished") await closed.promise.then(() => setImmediate());
    return write(entry);
  });
  const device = await connectScriptedDevice({
    baseUrl: main.url,
    apiKey: key,
    deviceId: "d1",
    acknowledge: () => null,
  });
  const stopping = device.received
    .waitFor((frame) => frame.type === "input")
    .then(() => instance.close(0, [main.connections]));
  const [answer] = await Promise.all([send(main.url, device.connectionId), stopping]);

  const unknown = { status: 504, errorCode: "delivery_unknown" };
  expect(answer).toMatchObject(unknown);
  expect(append.mock.calls.at(-1)).toEqual([expect.objectContaining({ type: "send_finished", status: 504 })]);
  const next = await reopen();
  expect(await send(next.main.url, device.connectionId)).toMatchObject(unknown);
  await next.instance.close(0, [next.main.connections]);
});

test("a send whose connection the upstream has not listed when the gateway stops is upstream_unreachable, and can be sent again", async () => {
  const asked = Promise.withResolvers<void>();
  const upstream = await createFakeUpstream(() => asked.resolve());
  onTestFinished(() => upstream.close());
  const { instance, main, events, send } = await start({ UPSTREAM_URL: upstream.url, LETTA_API_KEY: "sk-upstream" });
  const stopping = asked.promise.then(() => instance.close(0, [main.connections]));
  const [answer] = await Promise.all([send(main.url, "conn-1"), stopping]);

  expect(answer).toMatchObject({ status: 502, errorCode: "upstream_unreachable" });
  expect(upstream.seen.map(({ method }) => method)).toEqual(["GET"]);
  expect(events.filter(({ type }) => type.startsWith("upstream_"))).toEqual([]);
});

test("a switch of the mode that could not be recorded is recorded before the audit log closes, and the log says audit_failed", async () => {
  const rights = { scopes: ["send", "connect"], setMode: "standard" } as const;
  const { instance, main, events, key, send } = await start({}, rights);
  const { audit } = instance.resources;
  if (audit === null) throw new Error("unreachable");
  const write = audit.append;
  let isFull = true;
  const append = vi.spyOn(audit, "append").mockImplementation(async (entry) => {
    if (isFull && entry.type === "mode_switched") throw new Error("disk full");
    return write(entry);
  });
  const device = await connectScriptedDevice({ baseUrl: main.url, apiKey: key, deviceId: "d1" });
  const sent = send(main.url, device.connectionId);
  const { runtime } = await device.received.waitFor((frame) => frame.type === "change_device_state");
  device.send({ type: "update_device_status", runtime, device_status: { current_permission_mode: "standard" } });
  expect(await sent).toMatchObject({ status: 200 });
  await vi.waitUntil(() => events.some(({ type }) => type === "audit_failed"), { timeout: 10_000 });
  isFull = false;
  await instance.close(0, [main.connections]);

  const attempts = append.mock.settledResults.filter(
    (_, index) => append.mock.calls[index]?.[0].type === "mode_switched",
  );
  expect([attempts[0]?.type, attempts.at(-1)?.type]).toEqual(["rejected", "fulfilled"]);
  expect(events.filter(({ type }) => type === "internal_error")).toEqual([]);
});
