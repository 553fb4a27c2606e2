import { jsonResponse, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createViewerWorld, operator, runtime } from "../../test/support/viewer-world.ts";
import {
  maxParsedLength,
  maxViewerFrameLength,
  maxViewersPerKey,
  viewerCheckIntervalMs,
  viewerGraceMs,
  viewerPingIntervalMs,
} from "../limits.ts";
import { viewerFrameRate } from "../socket/rates.ts";

describe("frames of the device", () => {
  test("device frames go to every viewer of its row that may see them, numbered from 1 for each viewer", () => {
    const world = createViewerWorld();
    const [all, limited] = [world.open(), world.open({ principal: { ...operator, agentIds: ["agent-2"] } })];
    const other = world.open({ environmentId: "env-2" });
    world.say({ type: "stream_delta", runtime, delta: { text: "a" }, seq: 77 });
    world.say({ type: "turn_finished", runtime: { ...runtime, agent_id: "agent-2" } });
    expect(all.frames).toEqual([
      { type: "stream_delta", runtime, delta: { text: "a" }, seq: 1 },
      { type: "turn_finished", runtime: { ...runtime, agent_id: "agent-2" }, seq: 2 },
    ]);
    expect(limited.frames).toMatchObject([{ type: "turn_finished", seq: 1 }]);
    expect(other.frames).toEqual([]);
  });

  test("device frames that are not JSON objects, deeply nested or too long reach no viewer", () => {
    const world = createViewerWorld();
    const viewer = world.open();
    const long = JSON.stringify({ type: "stream_delta", runtime, delta: "x".repeat(maxParsedLength) });
    // V8 cannot write such an object again.
    const deep = `${'{"1":'.repeat(20_000)}1${"}".repeat(20_000)}`;
    const nested = `{"type":"stream_delta","runtime":${JSON.stringify(runtime)},"delta":${deep}}`;
    for (const text of ["nonsense", "[]", nested, long]) world.say(text);
    expect(viewer.frames).toEqual([]);
  });

  test("device frames with brackets in a string are passed on like any other", () => {
    const world = createViewerWorld();
    const viewer = world.open();
    const delta = { text: "[".repeat(80) };
    world.say({ type: "stream_delta", runtime, delta });
    expect(viewer.frames).toEqual([{ type: "stream_delta", runtime, delta, seq: 1 }]);
  });

  test("device frames with duplicate members are passed on as the server parsed them", () => {
    const world = createViewerWorld();
    const text = `{"type":"stream_delta","runtime":{"agent_id":"agent-9","conversation_id":"c"},"runtime":${JSON.stringify(runtime)}}`;
    const [viewer, limited] = [world.open(), world.open({ principal: { ...operator, agentIds: ["agent-9"] } })];
    world.say(text);
    expect(viewer.frames).toEqual([{ type: "stream_delta", runtime, seq: 1 }]);
    expect(limited.frames).toEqual([]);
  });

  test("a viewer that does not read is dropped, and the others continue", () => {
    const world = createViewerWorld();
    const [slow, viewer] = [world.open(), world.open()];
    slow.send = () => {
      throw new Error("the viewer does not read");
    };
    world.say({ type: "stream_delta", runtime });
    world.say({ type: "stream_delta", runtime });
    expect([slow.terminated, viewer.frames.length, world.hub.connectedViewers().length]).toEqual([true, 2, 1]);
  });
});

describe("requests", () => {
  test("a response goes only to the viewer that asked, under its own id", async () => {
    const world = createViewerWorld();
    const [first, second] = [world.open(), world.open()];
    for (const viewer of [first, second]) viewer.say({ type: "read_file", request_id: "r-1", path: "/a" });
    await world.settle();
    const [firstId, secondId] = world.device.map(({ request_id: id }) => id);
    expect(firstId).not.toBe(secondId);
    world.say({ type: "read_file_response", request_id: secondId, content: "b" });
    world.say({ type: "read_file_response", request_id: "r-1", content: "forged" });
    world.say({ type: "write_file_response", request_id: firstId, content: "of another type" });
    expect(first.frames).toEqual([]);
    expect(second.frames).toEqual([{ type: "read_file_response", request_id: "r-1", content: "b", seq: 1 }]);
    // A device responds once.
    world.say({ type: "read_file_response", request_id: secondId, content: "again" });
    expect(second.frames).toHaveLength(1);
  });

  test("a device of another row cannot respond", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.open({ environmentId: "env-2" });
    viewer.say({ type: "read_file", request_id: "r-1", path: "/a" });
    await world.settle();
    world.say({ type: "read_file_response", request_id: world.device[0]?.["request_id"], content: "forged" }, "env-2");
    expect(viewer.frames).toEqual([]);
  });

  test("a response in several frames is passed on until its end", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    viewer.say({ type: "list_memory", request_id: "r", agent_id: "agent-1" });
    await world.settle();
    const id = world.device[0]?.["request_id"];
    for (const done of [false, true, true]) world.say({ type: "list_memory_response", request_id: id, done });
    expect(viewer.frames.map(({ done }) => done)).toEqual([false, true]);
  });

  test("a response that is too long to be parsed becomes an error", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    viewer.say({ type: "read_file", request_id: "r", path: "/a" });
    await world.settle();
    const id = world.device[0]?.["request_id"];
    world.say({ type: "read_file_response", request_id: id, content: "x".repeat(maxParsedLength) });
    expect(viewer.frames).toMatchObject([
      { type: "error", request_id: "r", frame_type: "read_file", code: "response_too_large" },
      { type: "read_file_response", request_id: "r", success: false },
    ]);
  });

  test("a response that is so long that the host reads only its start and end becomes an error, too", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    viewer.say({ type: "read_file", request_id: "r", path: "/a" });
    await world.settle();
    world.sayLong(
      `{"type":"read_file_response","request_id":"${String(world.device[0]?.["request_id"])}","content":"xx`,
    );
    expect(viewer.frames).toMatchObject([{ code: "response_too_large" }, { success: false }]);
  });

  test("terminals of two viewers never mix, and end with their viewer", async () => {
    const world = createViewerWorld();
    const [first, second] = [world.open(), world.open()];
    for (const viewer of [first, second]) viewer.say({ type: "terminal_spawn", terminal_id: "t", cols: 80, rows: 24 });
    await world.settle();
    const [firstId, secondId] = world.device.map(({ terminal_id: id }) => id);
    expect(firstId).not.toBe(secondId);
    world.say({ type: "terminal_output", terminal_id: firstId, data: "secret" });
    expect(first.frames).toEqual([{ type: "terminal_output", terminal_id: "t", data: "secret", seq: 1 }]);
    expect(second.frames).toEqual([]);
    first.listener.onClose(1005);
    await world.settle();
    expect(world.device.at(-1)).toEqual({ type: "terminal_kill", terminal_id: firstId });
  });

  test("commands of one viewer are sent in order", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    viewer.say({ type: "terminal_spawn", terminal_id: "t", cols: 80, rows: 24 });
    for (const data of ["a", "b", "c"]) viewer.say({ type: "terminal_input", terminal_id: "t", data });
    world.admit = ({ type }) =>
      type === "terminal_spawn" ? Promise.resolve(null).then(() => null) : Promise.resolve(null);
    await world.settle();
    expect(world.device.map(({ data = "-" }) => data)).toEqual(["-", "a", "b", "c"]);
  });

  test("a command that is not admitted, or whose device is offline, is not sent", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.admit = () => Promise.resolve(problemResponse("rate_limited"));
    viewer.say({ type: "sync", request_id: "r", runtime });
    await world.settle();
    world.admit = () => Promise.resolve(null);
    world.isOnline = false;
    viewer.say({ type: "sync", request_id: "s", runtime });
    await world.settle();
    expect(world.device).toEqual([]);
    expect(viewer.frames).toMatchObject([
      { type: "error", request_id: "r", code: "rate_limited" },
      { type: "sync_response", request_id: "r", success: false },
      { type: "error", request_id: "s", code: "device_offline" },
      { type: "sync_response", request_id: "s", success: false },
    ]);
  });
});

describe("calls of the API", () => {
  const input = (id: string, content: string) => ({
    type: "input",
    request_id: id,
    runtime,
    payload: { kind: "create_message", messages: [{ role: "user", content }] },
  });

  test("a frame that becomes a call of the API gets the response that the protocol defines", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    viewer.say(input("r", "hello"));
    await world.settle();
    expect(viewer.frames).toEqual([
      { type: "input_accepted", request_id: "r", runtime, accepted: true, disposition: "started", seq: 1 },
    ]);
    expect(world.device).toEqual([]);
  });

  test("a refusal of the API is an error frame, and a response that the vendor's client understands", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.respond = () => Promise.resolve(problemResponse("mode_not_allowed"));
    viewer.say(input("r", "hello"));
    await world.settle();
    expect(viewer.frames).toMatchObject([
      { type: "error", request_id: "r", frame_type: "input", code: "mode_not_allowed" },
      { type: "input_accepted", request_id: "r", accepted: false, error: expect.any(String) },
    ]);
  });

  test("a server failure is an error frame, and later messages are still sent", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.respond = () => Promise.reject(new Error("a defect"));
    viewer.say(input("r-1", "a"));
    await world.settle();
    world.respond = () => Promise.resolve(jsonResponse(200, {}));
    viewer.say(input("r-2", "b"));
    await world.settle();
    expect(viewer.frames).toMatchObject([
      { type: "error", request_id: "r-1", code: "internal_error" },
      { type: "input_accepted", request_id: "r-1", accepted: false },
      { type: "input_accepted", request_id: "r-2", accepted: true },
    ]);
  });

  test("messages are sent immediately and in order, and so is a stop after them", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.respond = () => new Promise(() => undefined);
    for (const content of ["a", "b", "c"]) viewer.say(input(`r-${content}`, content));
    viewer.say({ type: "abort_message", request_id: "r-stop", runtime });
    await world.settle();
    expect(world.calls.map(({ operation }) => operation)).toEqual([...Array(3).fill("sendMessage"), "stopTurn"]);
    expect(JSON.stringify(world.calls.map(({ body }) => body))).toMatch(/"a".*"b".*"c"/);
  });
});

describe("violations", () => {
  test("a refused frame names its type and the missing scope, and is recorded", () => {
    const world = createViewerWorld();
    const viewer = world.open({ principal: { ...operator, scopes: new Set(["view"] as const) } });
    viewer.say({ type: "terminal_spawn", request_id: "r", terminal_id: "t" });
    expect(viewer.frames).toMatchObject([
      { type: "error", request_id: "r", frame_type: "terminal_spawn", code: "insufficient_scope", scope: "terminal" },
    ]);
    expect(world.refused).toMatchObject([[{ type: "terminal_spawn", scope: "terminal" }, "insufficient_scope"]]);
  });

  test.each([
    ["malformed", "nonsense", "malformed_frame"],
    ["unknown", { type: "teleport_request" }, "unknown_frame_type"],
    ["too large", "x".repeat(maxViewerFrameLength + 1), "frame_too_large"],
  ])("frames that are %s get ten error frames, and then the socket is closed with 1008", (_name, frame, code) => {
    const world = createViewerWorld();
    const viewer = world.open();
    for (let number = 0; number < 10; number++) viewer.say(frame);
    expect(viewer.frames.map((answer) => answer["code"])).toEqual(Array(10).fill(code));
    expect(viewer.closes).toEqual([]);
    viewer.say(frame);
    expect(viewer.closes).toMatchObject([{ code: 1008 }]);
    // Nothing more is handled while the socket closes.
    viewer.say({ type: "ping" });
    expect(viewer.frames).toHaveLength(11);
  });

  test("a frame that the runtime does not pass on gets an error frame, too", () => {
    const world = createViewerWorld();
    const viewer = world.open();
    expect(viewer.listener.onOtherFrame(100)).toBe(true);
    expect(viewer.listener.onOtherFrame(4 * maxViewerFrameLength)).toBe(true);
    expect(viewer.frames).toMatchObject([{ type: "error", code: "frame_too_large" }]);
  });

  test("an acknowledgement of a frame that was not sent is refused, any other is accepted", () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.say({ type: "stream_delta", runtime });
    viewer.say({ type: "ack", seq: 1 });
    viewer.say({ type: "ack", seq: 9 });
    expect(viewer.frames.slice(1)).toMatchObject([{ type: "error", frame_type: "ack", code: "invalid_frame" }]);
  });

  test("a viewer may acknowledge every frame that it receives, at any rate, and still send as many others as usual", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    for (let second = 0; second < 60; second++) {
      for (let index = 0; index < 100; index++) {
        world.say({ type: "stream_delta", runtime });
        viewer.say({ type: "ack", seq: viewer.frames.length });
      }
      await world.clock.advance(1_000);
    }
    for (let index = 0; index < viewerFrameRate.burst; index++) viewer.say({ type: "ping" });
    expect(viewer.closes).toEqual([]);
    expect(viewer.frames.filter(({ type }) => type === "error")).toEqual([]);
  });

  test("acknowledgements beyond the frames that were sent count as frames", () => {
    const world = createViewerWorld();
    const viewer = world.open();
    world.say({ type: "stream_delta", runtime });
    for (let index = 0; index <= viewerFrameRate.burst; index++) viewer.say({ type: "ack", seq: 1 });
    expect(viewer.frames.slice(1)).toEqual([]);
    viewer.say({ type: "ack", seq: 1 });
    expect(viewer.frames.slice(1)).toMatchObject([{ type: "error", code: "too_many_frames" }]);
  });
});

describe("the life of a socket", () => {
  test("a ping gets a pong, and the server sends a ping twice a minute", async () => {
    const world = createViewerWorld();
    const viewer = world.open();
    viewer.say({ type: "ping" });
    await world.clock.advance(viewerPingIntervalMs);
    expect(viewer.frames.map(({ type }) => type)).toEqual(["pong", "ping"]);
  });

  test("a key has a limited number of viewers", () => {
    const world = createViewerWorld();
    const viewers = Array.from({ length: maxViewersPerKey + 1 }, () => world.open());
    expect(world.hub.isFull(operator)).toBe(true);
    expect(viewers.filter(({ closes }) => closes.length > 0)).toHaveLength(1);
    viewers[0]?.listener.onClose(1005);
    expect(world.hub.isFull(operator)).toBe(false);
  });

  test("viewer sockets survive a short disconnect of the device, but not a long one or a new registration", async () => {
    const world = createViewerWorld();
    const [first, second] = [world.open(), world.open({ environmentId: "env-2" })];
    world.hub.disconnected("env-1");
    await world.clock.advance(viewerGraceMs - 1);
    world.hub.connected("env-1", "conn-1");
    world.hub.disconnected("env-2");
    await world.clock.advance(viewerGraceMs);
    expect([first.closes, second.closes]).toMatchObject([[], [{ code: 1001, reason: "The device is offline" }]]);
    world.hub.connected("env-1", "conn-2");
    expect(first.closes).toMatchObject([{ code: 1001 }]);
    expect(world.hub.connectedViewers()).toEqual([]);
    // Nothing is kept for devices without viewers.
    expect(world.clock.timerCount).toBe(0);
  });

  test("a viewer that depends on the labels of its device is closed within a second after they change", async () => {
    const world = createViewerWorld();
    let isPermitted: () => Promise<boolean> = () => Promise.resolve(true);
    const [viewer, other] = [world.open({ isPermitted: () => isPermitted() }), world.open()];
    await world.clock.advance(viewerCheckIntervalMs);
    isPermitted = () => Promise.reject(new Error("the store is locked"));
    await world.clock.advance(viewerCheckIntervalMs);
    expect(viewer.closes).toEqual([]);
    isPermitted = () => Promise.resolve(false);
    await world.clock.advance(viewerCheckIntervalMs);
    expect([viewer.closes, other.closes]).toMatchObject([[{ code: 1008 }], []]);
  });

  test("viewers are closed with 1008 when their key ends, and all viewers when the server closes", () => {
    const world = createViewerWorld();
    const [ended, other] = [world.open(), world.open({ principal: { ...operator, keyId: "key-2" } })];
    world.hub.closeEnded(({ keyId }) => keyId === operator.keyId);
    expect([ended.closes, other.closes]).toMatchObject([[{ code: 1008 }], []]);
    world.hub.close();
    expect(other.closes).toMatchObject([{ code: 1001 }]);
    expect(world.open().closes).toMatchObject([{ code: 1001 }]);
  });
});
