/** The vendor's own client controls a real device through the viewer socket of the gateway. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@letta-environments/client";
import {
  createVendorClient,
  demoAgentId,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  type ProtocolFrame,
  runLettaProxy,
  type VendorClient,
} from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { parseKeyId } from "../../src/keys/key-format.ts";

let proxy: LaunchedProxy;
let device: LaunchedDevice;
let url: string;
const clients: VendorClient[] = [];

beforeAll(async () => {
  proxy = await launchProxy();
  const apiKey = await proxy.createKey({ scopes: ["connect", "read"] });
  device = await launchDevice({ baseUrl: proxy.url, apiKey, deviceId: "device-viewed", asksPermission: true });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
  const { connectionId } = await createClient({ baseUrl: proxy.url, apiKey }).environments.retrieve("device-viewed");
  url = `${proxy.url}/v1/environments/${connectionId}/status/ws`;
}, 60_000);

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

afterAll(async () => {
  await device?.kill();
  await proxy?.stop();
}, 60_000);

/** A connected client and every frame that it has received. */
async function connect(options: { readonly url?: string; readonly authToken?: string }) {
  const client = await createVendorClient({ url, requestTimeoutMs: 15_000, ...options });
  clients.push(client);
  const frames: ProtocolFrame[] = [];
  const waiting = new Set<() => void>();
  client.onMessage((frame) => {
    frames.push(frame);
    for (const check of waiting) check();
  });
  await client.connect();
  /** Resolves with the first frame after `start` that passes. */
  const waitFor = (passes: (frame: ProtocolFrame) => boolean, start = 0): Promise<ProtocolFrame> =>
    new Promise((resolve) => {
      const check = (): void => {
        const found = frames.slice(start).find(passes);
        if (found === undefined) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  return { client, frames, waitFor };
}

const runtime = { agent_id: demoAgentId, conversation_id: "default" };
const say = (content: string) => ({
  runtime,
  payload: { kind: "create_message", messages: [{ role: "user", content }] },
});
const isFinished = ({ type }: ProtocolFrame): boolean => type === "turn_finished";
const isRequest = ({ type }: ProtocolFrame): boolean => type === "control_request";
const modeOf = ({ device_status: status }: ProtocolFrame): unknown =>
  (status as Readonly<Record<string, unknown>> | undefined)?.["current_permission_mode"];

test("a viewer receives info, starts a runtime, sends input, sees live output, approves, changes the mode and stops", async () => {
  const authToken = await proxy.createKey({ scopes: ["view", "send", "approve", "control"] });
  const { client, frames, waitFor } = await connect({ authToken });
  expect(await client.info()).toMatchObject({ success: true, backend: "local" });
  const started = await client.runtimeStart({ ...runtime, client_info: { name: "test" } });
  expect(started).toMatchObject({ success: true, runtime });

  expect(await client.submitInput(say("Read $TRANSCRIPT_PATH"))).toMatchObject({
    accepted: true,
    disposition: "started",
  });
  const request = await waitFor(isRequest);
  const decision = { kind: "approval_response", request_id: request["request_id"], decision: { behavior: "allow" } };
  expect(await client.submitInput({ runtime, payload: decision })).toMatchObject({ accepted: true });
  await waitFor(isFinished);
  const output = frames.filter(({ type }) => type === "stream_delta").map((frame) => JSON.stringify(frame));
  expect(output.filter((text) => text.includes('"client_tool_end"'))).toHaveLength(1);
  expect(output.some((text) => text.includes('"assistant_message"'))).toBe(true);

  client.send({ type: "change_device_state", runtime, payload: { mode: "acceptEdits" } });
  await waitFor((frame) => modeOf(frame) === "acceptEdits", frames.length);
  client.send({ type: "change_device_state", runtime, payload: { mode: "standard" } });
  await waitFor((frame) => modeOf(frame) === "standard", frames.length);

  const before = frames.length;
  expect(await client.submitInput(say("Read $TRANSCRIPT_PATH again"))).toMatchObject({ accepted: true });
  await waitFor(isRequest, before);
  expect(await client.abort({ runtime })).toMatchObject({ success: true, aborted: true });
  await waitFor(isFinished, before);

  const numbers = frames.map(({ seq }) => seq);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  expect(frames.filter(({ type }) => type === "error")).toEqual([]);
}, 60_000);

test("the mode of a runtime_start does not hold back a key with a maximum mode once the device has responded and left the mode", async () => {
  const { client, frames, waitFor } = await connect({
    authToken: await proxy.createKey({ scopes: ["view", "send", "control"] }),
  });
  const limited = await connect({
    authToken: await proxy.createKey({ scopes: ["view", "send"], more: ["--max-mode", "standard"] }),
  });
  expect(await client.runtimeStart({ ...runtime, mode: "unrestricted" })).toMatchObject({ success: true });
  expect(await limited.client.submitInput(say("ping"))).toMatchObject({ accepted: false });
  client.send({ type: "change_device_state", runtime, payload: { mode: "standard" } });
  await waitFor((frame) => modeOf(frame) === "standard", frames.length);
  const before = frames.length;
  expect(await limited.client.submitInput(say("ping"))).toMatchObject({ accepted: true });
  await waitFor(isFinished, before);
}, 60_000);

test("a key without a scope, and one with a maximum mode, receive an error that names the missing permission", async () => {
  const authToken = await proxy.createKey({ scopes: ["view", "control"], more: ["--max-mode", "standard"] });
  const { client, frames, waitFor } = await connect({ authToken });
  expect(await client.submitInput(say("hello"))).toMatchObject({ accepted: false });
  client.send({ type: "change_device_state", request_id: "mode", runtime, payload: { mode: "unrestricted" } });
  await waitFor(({ request_id: id }) => id === "mode");
  expect(await client.conversationList()).toMatchObject({ success: false });
  expect(frames.filter(({ type }) => type === "error")).toMatchObject([
    { frame_type: "input", code: "insufficient_scope", scope: "send" },
    { frame_type: "change_device_state", code: "mode_not_allowed" },
    { frame_type: "conversation_list", code: "insufficient_scope", scope: "manage" },
  ]);
}, 60_000);

test("a key in the query opens the socket and appears in no log and no file; the revocation of the key closes it", async () => {
  const key = await proxy.createKey({ scopes: ["view"] });
  const { client } = await connect({ url: `${url}?token=${key}&channel=stream` });
  expect(await client.info()).toMatchObject({ success: true });
  const closed = new Promise((resolve) => client.onDisconnect(resolve));
  await runLettaProxy(["keys", "revoke", parseKeyId(key) ?? "", "--data-dir", proxy.dataDir]);
  await closed;
  await expect(connect({ url: `${url}?token=${key}` })).rejects.toThrow("failed to open");
  await proxy.process.waitForOutput(/"event":"viewer_disconnected"/);
  expect(proxy.process.output()).toContain('"event":"viewer_command"');
  expect(proxy.process.output()).not.toContain(key);
  for (const file of filesOf(proxy.dataDir)) expect(readFileSync(file).includes(key)).toBe(false);
}, 60_000);

function filesOf(folder: string): string[] {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesOf(path) : [path]));
}
