import { expect, test } from "vitest";
import { createHarness, type Harness } from "./support/harness.ts";

async function row({ call }: Harness): Promise<Record<string, unknown>> {
  return (await call("GET", "/v1/environments/device-1")).body;
}

const offline = { connectedAt: null, connectionId: null, lastHeartbeat: null, podId: null };

test("a device is offline until its socket opens and after it closes", async () => {
  const harness = createHarness();
  const connectionId = await harness.register("device-1");
  expect(await row(harness)).toMatchObject(offline);
  const socket = await harness.open(connectionId);
  const nowMs = harness.clock.now();
  expect(await row(harness)).toMatchObject({ connectedAt: nowMs, connectionId, lastHeartbeat: nowMs, podId: "pod-1" });
  socket.listener.onClose(1005);
  expect(await row(harness)).toMatchObject(offline);
});

test("a ping receives a pong and renews the heartbeat", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  const openedMs = harness.clock.now();
  await harness.clock.advance(30_000);
  socket.say({ type: "ping" });
  expect(socket.frames).toEqual([{ type: "pong" }]);
  expect(await row(harness)).toMatchObject({ connectedAt: openedMs, lastHeartbeat: openedMs + 30_000 });
});

test("a device stays online as long as it pings", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  for (let beat = 0; beat < 20; beat++) {
    await harness.clock.advance(30_000);
    socket.say({ type: "ping" });
  }
  expect(socket.terminated).toBe(false);
  expect(await row(harness)).toMatchObject({ connectionId });
});

test("only pings keep a device online, and its socket is dropped after 120 s without one", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  await harness.clock.advance(119_999);
  socket.say({ type: "update_loop_status", loop_status: {} });
  expect((await row(harness))["connectionId"]).not.toBeNull();
  expect(socket.terminated).toBe(false);
  await harness.clock.advance(1);
  expect(socket.terminated).toBe(true);
  expect(await row(harness)).toMatchObject({ ...offline, lastSeenAt: harness.clock.now() - 1 });
  expect(harness.events.at(-1)).toMatchObject({ type: "device_disconnected", reason: "silent" });
});

test("frames on a socket that was dropped for silence do not take the device online", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  await harness.clock.advance(120_000);
  socket.say({ type: "ping" });
  socket.listener.onClose(1006);
  expect(await row(harness)).toMatchObject(offline);
  expect(harness.events.filter((event) => event.type === "device_disconnected")).toHaveLength(1);
});

test("while no device is connected, the only timer is the one for removing old records, which ends with the server", async () => {
  const harness = createHarness();
  expect(harness.clock.timerCount).toBe(1);
  const { socket } = await harness.connect("device-1");
  // In addition the sweep of silent sockets, and the watch for removed devices.
  expect(harness.clock.timerCount).toBe(3);
  await harness.clock.advance(60_000);
  expect(harness.clock.timerCount).toBe(3);
  socket.listener.onClose(1006);
  expect(harness.clock.timerCount).toBe(1);
  await harness.clock.advance(60_000);
  expect(harness.clock.timerCount).toBe(1);
  await harness.server.close();
  expect(harness.clock.timerCount).toBe(0);
});

test("lastSeenAt is stored every 30 s and when the socket closes", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  const stored = async (): Promise<unknown> =>
    (
      await harness.store.listEnvironments({
        tenant: "acme",
        afterId: null,
        environmentIds: null,
        deviceIds: null,
        owner: null,
        limit: 1,
      })
    )[0]?.lastSeenAt;
  const openedMs = harness.clock.now();
  await harness.clock.advance(29_000);
  socket.say({ type: "ping" });
  expect(await stored()).toBe(openedMs);
  await harness.clock.advance(1_000);
  expect(await stored()).toBe(openedMs + 29_000);
  await harness.clock.advance(5_000);
  socket.say({ type: "ping" });
  socket.listener.onClose(1006);
  await harness.settle();
  expect(await stored()).toBe(openedMs + 35_000);
});

test("after a restart a device is offline until it reconnects, with the connectionId it had", async () => {
  const before = createHarness();
  const { connectionId } = await before.connect("device-1");
  await before.settle();
  const after = createHarness({ store: before.store, clock: before.clock });
  expect(await row(after)).toMatchObject(offline);
  await after.open(connectionId);
  expect(await row(after)).toMatchObject({ connectionId });
});

test("the row shows the device's status, without modes that the API has no name for", async () => {
  const harness = createHarness();
  const { socket, connectionId } = await harness.connect("device-1");
  const say = (status: unknown): void => socket.say({ type: "update_device_status", device_status: status });
  say({ current_permission_mode: "acceptEdits", current_working_directory: "/code", git_context: { branch: "main" } });
  expect(await row(harness)).toMatchObject({
    currentMode: "acceptEdits",
    metadata: { workingDirectory: "/code", gitBranch: "main" },
  });
  say({ current_permission_mode: "strict", git_context: null });
  const shown = await row(harness);
  expect(shown).not.toHaveProperty("currentMode");
  expect(shown["metadata"]).toEqual({ workingDirectory: "/code" });
  say({ current_permission_mode: "unrestricted" });
  socket.listener.onClose(1006);
  await harness.settle();
  expect(await row(harness)).toMatchObject({ ...offline, currentMode: "unrestricted" });
  await harness.open(connectionId);
  expect(await row(harness)).toMatchObject({ currentMode: "unrestricted" });
});

test("a status is written only when it changes", async () => {
  const harness = createHarness();
  let writes = 0;
  const { saveStatus } = harness.store;
  Object.assign(harness.store, { saveStatus: (id: string, status: never) => ((writes += 1), saveStatus(id, status)) });
  const { socket } = await harness.connect("device-1");
  for (let repeat = 0; repeat < 5; repeat++) {
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "standard" } });
  }
  await harness.settle();
  expect(writes).toBe(1);
});

test("every change of a status is reported with the row that shows it, although its event comes once a second", async () => {
  const modes: Promise<unknown>[] = [];
  const harness: Harness = createHarness({
    onStatusChange: () => void modes.push(row(harness).then((shown) => shown["currentMode"])),
  });
  const { socket } = await harness.connect("device-1");
  for (const mode of ["standard", "acceptEdits", "acceptEdits", "unrestricted"]) {
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: mode } });
    await harness.settle();
  }
  expect(await Promise.all(modes)).toEqual(["standard", "acceptEdits", "unrestricted"]);
  expect(harness.events.filter(({ type }) => type === "device_changed")).toHaveLength(1);
});

test("the status of an earlier process of the device is not shown for the next one", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  socket.say({ type: "update_device_status", device_status: { current_permission_mode: "standard" } });
  await harness.settle();
  expect(await row(harness)).toMatchObject({ currentMode: "standard" });
  await harness.connect("device-1");
  expect(await row(harness)).not.toHaveProperty("currentMode");
});
