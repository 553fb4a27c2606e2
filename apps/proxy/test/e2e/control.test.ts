/** Control of a real device through a gateway that was started as a user starts it. */
import {
  createRelay,
  demoAgentId,
  type Frame,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  runLettaProxy,
  type Relay,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

let proxy: LaunchedProxy;
let relay: Relay;
let device: LaunchedDevice;
let keys: { readonly full: string; readonly limited: string; readonly setting: string };

beforeAll(async () => {
  proxy = await launchProxy();
  relay = await createRelay(proxy.url);
  const connectKey = await proxy.createKey({ scopes: ["connect"] });
  keys = {
    full: await proxy.createKey({ scopes: ["read", "send", "control"] }),
    limited: await proxy.createKey({ scopes: ["send", "control"], more: ["--max-mode", "standard"] }),
    setting: await proxy.createKey({ scopes: ["send"], more: ["--max-mode", "acceptEdits", "--set-mode", "standard"] }),
  };
  device = await launchDevice({
    baseUrl: relay.url,
    apiKey: connectKey,
    deviceId: "device-runs",
    asksPermission: true,
  });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
}, 60_000);

afterAll(async () => {
  await device?.kill();
  await relay?.close();
  await proxy?.stop();
}, 60_000);

async function call(key: string, method: string, path: string, body?: object) {
  const response = await fetch(`${proxy.url}/v1/environments/${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify({ agentId: demoAgentId, ...body }) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function connectionId(): Promise<string> {
  return String((await call(keys.full, "GET", "device-runs")).body["connectionId"]);
}

const message = (content: string) => ({
  messages: [{ role: "user", content, client_message_id: crypto.randomUUID() }],
});

/** Waits for a frame of the device that comes after this call. */
function next(matches: (frame: Frame) => boolean): Promise<Frame> {
  const before = relay.fromDevice.frames.length;
  return relay.fromDevice.waitFor((frame) => matches(frame) && relay.fromDevice.frames.indexOf(frame) >= before);
}

test("a key with a maximum mode sends to a conversation that has reported no mode, if the device says that it is strict enough", async () => {
  const connection = await connectionId();
  const unused = await call(keys.limited, "POST", `${connection}/messages`, {
    ...message("ping"),
    conversationId: "local-conv-unused",
  });
  expect(unused).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
  const finished = next((frame) => frame.type === "turn_finished");
  expect(await call(keys.limited, "POST", `${connection}/messages`, message("ping"))).toMatchObject({ status: 200 });
  await finished;
  expect(relay.fromServer.frames.filter(({ type }) => type === "sync" || type === "input")).toMatchObject([
    { type: "sync", runtime: { conversation_id: "local-conv-unused" } },
    { type: "sync", runtime: { conversation_id: "default" } },
    { type: "input", runtime: { conversation_id: "default" } },
  ]);
}, 60_000);

// A turn of this device waits for permission until it is stopped.
test("a running turn is stopped, its queue is kept and can be resumed, and a second stop has nothing to stop", async () => {
  const connection = await connectionId();
  const waits = next((frame) => frame.type === "control_request");
  expect(await call(keys.full, "POST", `${connection}/messages`, message("Read $TRANSCRIPT_PATH"))).toMatchObject({
    status: 200,
  });
  await waits;
  const queued = await call(keys.full, "POST", `${connection}/messages`, message("ping"));
  expect(queued.body).toMatchObject({ disposition: "queued" });
  const wrongRun = await call(keys.full, "POST", `${connection}/stop`, { runId: "run-of-another-time" });
  expect(wrongRun).toEqual({ status: 200, body: { stopped: false } });
  const finished = next((frame) => frame.type === "turn_finished");
  expect(await call(keys.full, "POST", `${connection}/stop`, {})).toEqual({ status: 200, body: { stopped: true } });
  expect(await finished).toMatchObject({ stop_reason: "cancelled" });
  expect(await call(keys.full, "POST", `${connection}/stop`, {})).toEqual({ status: 200, body: { stopped: false } });
  const resumed = next((frame) => frame.type === "turn_finished");
  expect(await call(keys.full, "POST", `${connection}/queue/resume`, {})).toEqual({
    status: 200,
    body: { resumed: 1 },
  });
  await resumed;
}, 60_000);

test("a waiting message that is removed from the queue never runs", async () => {
  const connection = await connectionId();
  const waits = next((frame) => frame.type === "control_request");
  await call(keys.full, "POST", `${connection}/messages`, message("Read $TRANSCRIPT_PATH"));
  await waits;
  const listed = next((frame) => frame.type === "update_queue" && JSON.stringify(frame["queue"]).includes('"id"'));
  await call(keys.full, "POST", `${connection}/messages`, message("never"));
  const [item] = (await listed)["queue"] as readonly { readonly id: string }[];
  const path = `${connection}/queue/${item?.id}?agentId=${demoAgentId}`;
  expect(await call(keys.full, "DELETE", path)).toEqual({ status: 200, body: { removed: true } });
  expect(await call(keys.full, "DELETE", path)).toEqual({ status: 200, body: { removed: false } });
  const finished = next((frame) => frame.type === "turn_finished");
  await call(keys.full, "POST", `${connection}/stop`, {});
  await finished;
}, 60_000);

test("a mode is changed for its conversation, and a maximum mode refuses a change beyond it", async () => {
  const connection = await connectionId();
  const changed = await call(keys.full, "POST", `${connection}/mode`, { mode: "acceptEdits" });
  expect(changed).toEqual({ status: 200, body: { mode: "acceptEdits" } });
  expect((await call(keys.full, "GET", "device-runs")).body).toMatchObject({ currentMode: "acceptEdits" });
  const refused = await call(keys.limited, "POST", `${connection}/mode`, { mode: "bypassPermissions" });
  expect(refused).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
  const tooFree = await call(keys.limited, "POST", `${connection}/messages`, message("ping"));
  expect(tooFree).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
  const lowered = await call(keys.limited, "POST", `${connection}/mode`, { mode: "default" });
  expect(lowered).toEqual({ status: 200, body: { mode: "standard" } });
  const finished = next((frame) => frame.type === "turn_finished");
  expect(await call(keys.limited, "POST", `${connection}/messages`, message("ping"))).toMatchObject({ status: 200 });
  await finished;
}, 60_000);

test("a key that sets a mode has the device switched before its message runs", async () => {
  const connection = await connectionId();
  await call(keys.full, "POST", `${connection}/mode`, { mode: "unrestricted" });
  const finished = next((frame) => frame.type === "turn_finished");
  expect(await call(keys.setting, "POST", `${connection}/messages`, message("ping"))).toMatchObject({ status: 200 });
  await finished;
  const order = relay.fromServer.frames.slice(-2).map(({ type }) => type);
  expect(order).toEqual(["change_device_state", "input"]);
  const { stdout } = await runLettaProxy(["audit", "list", "--json", "--event", "mode", "--data-dir", proxy.dataDir]);
  expect(JSON.parse(stdout)).toMatchObject({ type: "mode_switched", mode: "standard", outcome: "done" });
  expect((await call(keys.full, "GET", "device-runs")).body).toMatchObject({ currentMode: "standard" });
}, 60_000);

test("a directory is changed for its conversation, and one that does not exist or is a file is refused", async () => {
  const connection = await connectionId();
  const change = (directory: string) => call(keys.full, "POST", `${connection}/directory`, { directory });
  expect(await change("/usr")).toEqual({ status: 200, body: { directory: "/usr" } });
  expect(await change("/usr/../tmp/")).toEqual({ status: 200, body: { directory: "/tmp" } });
  expect(await change("/no/such/directory")).toMatchObject({ status: 409, body: { errorCode: "control_rejected" } });
  const file = await change("/etc/passwd");
  expect(file).toMatchObject({ status: 409, body: { detail: expect.stringContaining("Not a directory") } });
  expect(await change("/tmp")).toEqual({ status: 200, body: { directory: "/tmp" } });
}, 60_000);
