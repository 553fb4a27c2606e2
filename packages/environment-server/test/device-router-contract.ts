import { onlineWindowMs, type Principal } from "@letta-environments/schema";
import { beforeEach, describe, expect, test } from "vitest";
import type { DeviceRouter, LocalDevices } from "../src/index.ts";
import { anyone, createHarness, type Harness, userMessage } from "./support/harness.ts";

const controller: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
const runtime = { agent_id: "agent-1", conversation_id: "default" };

/** A server that callers use, the way from it to the devices, and the server to which they connect: the same one, or another. */
export interface RouterWorld {
  readonly near: Harness;
  readonly far: Harness;
  readonly router: DeviceRouter;
  /** Name of the process of `far`. */
  readonly farPodId: string;
}

/** The contract suite of a way to devices. Both servers of a world have the same store and clock. */
export function describeDeviceRouterContract(name: string, createWorld: () => RouterWorld): void {
  describe(`device router: ${name}`, () => {
    let world: RouterWorld;
    beforeEach(() => {
      world = createWorld();
    });

    async function connect(deviceId: string) {
      const device = await world.far.connect(deviceId);
      const [row] = await world.far.store.findEnvironments("acme", deviceId);
      await world.far.settle();
      return { ...device, id: row?.id ?? "" };
    }

    /** Begins sends of the near server, in this order. */
    async function begin(connectionId: string, ...ids: readonly string[]) {
      const answers = ids.map((id) => world.near.send(connectionId, { messages: [userMessage(id)] }));
      await world.near.settle();
      return answers;
    }

    describe("presence", () => {
      test("presence lists online devices with connection and process, ordered by id", async () => {
        const [first, second] = [await connect("device-a"), await connect("device-b")];
        const connected = { podId: world.farPodId, connectionId: first.connectionId, status: {} };
        expect(await world.router.presence([second.id, "unknown", first.id])).toMatchObject([
          { connectionId: second.connectionId },
          null,
          connected,
        ]);
        first.socket.listener.onClose(1006);
        expect(await world.router.presence([first.id])).toEqual([null]);
        expect(await world.router.presence([])).toEqual([]);
      });

      test("a status that a device reports is part of its presence, and of the list", async () => {
        const { id, socket } = await connect("device-a");
        socket.say({
          type: "update_device_status",
          runtime,
          device_status: { current_permission_mode: "acceptEdits" },
        });
        expect(await world.router.presence([id])).toMatchObject([{ status: { currentMode: "acceptEdits" } }]);
        const { body } = await world.near.call("GET", "/v1/environments", { query: "onlineOnly=true" });
        expect(body["connections"]).toMatchObject([
          { deviceId: "device-a", currentMode: "acceptEdits", podId: world.farPodId },
        ]);
      });

      test("online rows are listed by tenant in ascending order, page by page, without silent devices", async () => {
        const devices = [];
        for (const deviceId of ["device-a", "device-b", "device-c", "device-d"]) devices.push(await connect(deviceId));
        const ids = devices.map(({ id }) => id).toSorted();
        const silent = ids[2];
        await world.far.clock.advance(onlineWindowMs - 1);
        for (const { id, socket } of devices) if (id !== silent) socket.say({ type: "ping" });
        await world.far.clock.advance(1);
        const online = ids.filter((id) => id !== silent);
        expect(await world.router.onlineIds("acme", null, 2)).toEqual(online.slice(0, 2));
        expect(await world.router.onlineIds("acme", online[1] ?? "", 2)).toEqual(online.slice(2));
        expect(await world.router.onlineIds("another", null, 10)).toEqual([]);
      });
    });

    describe("routing", () => {
      test("a row is located at its current registration, and nowhere after its socket has closed", async () => {
        const { id, connectionId, socket } = await connect("device-a");
        const location = await world.router.locate(id);
        expect(location).toEqual({
          podId: world.farPodId,
          connectionId,
          generation: expect.any(Number),
          opening: expect.any(Number),
        });
        socket.listener.onClose(1006);
        expect(await world.router.locate(id)).toBeNull();
        const again = await connect("device-a");
        expect(await world.router.locate(id)).toMatchObject({ connectionId: again.connectionId });
      });

      test("a device that connects elsewhere replaces its socket, and messages reach the new one alone", async () => {
        const { id, socket } = await connect("device-a");
        const second = await world.near.connect("device-a");
        await world.near.settle();
        expect(socket.closes).toEqual([{ code: 1000, reason: "Replaced by new connection" }]);
        expect(await world.router.locate(id)).toMatchObject({ connectionId: second.connectionId });
        const [answer] = await begin(second.connectionId, "m-1");
        second.socket.acknowledge();
        expect((await answer)?.status).toBe(200);
        expect(socket.inputs()).toEqual([]);
      });

      test("a registration that opens its socket again elsewhere replaces its socket, and messages reach the new one alone", async () => {
        const { id, connectionId, socket } = await connect("device-a");
        const second = await world.near.open(connectionId);
        await world.near.settle();
        expect(socket.closes).toEqual([{ code: 1000, reason: "Replaced by new connection" }]);
        const third = await world.far.open(connectionId);
        await world.near.settle();
        expect(second.closes).toEqual([{ code: 1000, reason: "Replaced by new connection" }]);
        expect(await world.router.locate(id)).toMatchObject({ podId: world.farPodId, connectionId });
        const [answer] = await begin(connectionId, "m-1");
        third.acknowledge();
        expect((await answer)?.status).toBe(200);
        expect([socket, second].flatMap((one) => one.inputs())).toEqual([]);
      });

      test("a replaced registration cannot open its socket again, whichever process has the current one", async () => {
        const { connectionId } = await connect("device-a");
        await world.far.connect("device-a");
        await world.near.settle();
        await expect(world.near.open(connectionId)).rejects.toThrow("connection_replaced");
      });
    });

    describe("delivery", () => {
      test("a message reaches the device once, and the response is the device's acknowledgement", async () => {
        const { connectionId, socket } = await connect("device-a");
        const [answer] = await begin(connectionId, "m-1");
        expect(socket.inputs().map(({ payload }) => payload.messages[0]?.client_message_id)).toEqual(["m-1"]);
        socket.acknowledge({ accepted: true, disposition: "queued" });
        expect(await answer).toMatchObject({ status: 200, body: { success: true } });
        const [rejected] = await begin(connectionId, "m-2");
        socket.acknowledge({ accepted: false, error: "no" });
        expect(await rejected).toMatchObject({ status: 409, body: { errorCode: "input_rejected" } });
      });

      test("a repeat during the first send and after it gets its result, and nothing is written again", async () => {
        const { connectionId, socket } = await connect("device-a");
        const [first, during] = await begin(connectionId, "m-1", "m-1");
        socket.acknowledge();
        const after = await world.near.send(connectionId, { messages: [userMessage("m-1")] });
        const answers = [await first, await during, after];
        expect(answers.map((answer) => answer?.status)).toEqual([200, 200, 200]);
        expect(answers.map((answer) => answer?.headers["idempotency-replayed"])).toEqual([undefined, "true", "true"]);
        expect(socket.inputs()).toHaveLength(1);
      });

      test("messages are written in the order of the calls, and none waits for an acknowledgement in another conversation", async () => {
        const { connectionId, socket } = await connect("device-a");
        const ids = Array.from({ length: 20 }, (_, index) => `m-${index}`);
        const answers = ids.map((id) =>
          world.near.send(connectionId, { messages: [userMessage(id)], conversationId: `conversation of ${id}` }),
        );
        await world.near.settle();
        expect(socket.inputs().map(({ payload }) => payload.messages[0]?.client_message_id)).toEqual(ids);
        for (const { request_id } of socket.inputs()) socket.acknowledge(undefined, request_id);
        expect((await Promise.all(answers)).every(({ status }) => status === 200)).toBe(true);
      });

      test("a send to an offline, unknown or inaccessible device is refused as it would be without a router", async () => {
        const { connectionId, socket } = await connect("device-a");
        const stranger = { ...anyone, deviceIds: ["another"] };
        const refused = [
          await world.near.send(connectionId, {}, { principal: stranger }),
          await world.near.send("env-conn-none"),
        ];
        socket.listener.onClose(1006);
        refused.push(await world.near.send(connectionId));
        expect(refused.map(({ body }) => body["errorCode"])).toEqual([
          "connection_not_found",
          "connection_not_found",
          "device_offline",
        ]);
        expect(socket.frames).toEqual([]);
      });

      test("a device that disconnects before it acknowledges leaves the outcome unknown for the message and its repeat", async () => {
        const { connectionId, socket } = await connect("device-a");
        const [answer] = await begin(connectionId, "m-1");
        socket.listener.onClose(1006);
        expect(await answer).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
        const again = await world.near.send(connectionId, { messages: [userMessage("m-1")] });
        expect(again.body["errorCode"]).toBe("delivery_unknown");
        expect(socket.inputs()).toHaveLength(1);
      });

      test("a send of a disconnected caller is not sent", async () => {
        const { connectionId, socket } = await connect("device-a");
        const leaving = new AbortController();
        leaving.abort(new Error("gone"));
        await expect(world.near.send(connectionId, {}, { signal: leaving.signal })).rejects.toThrow("gone");
        await world.near.settle();
        expect(socket.frames).toEqual([]);
      });

      test("commands reach the device, and a message's status is read from the process that follows it", async () => {
        const { connectionId, socket } = await connect("device-a");
        const [sent] = await begin(connectionId, "m-1");
        socket.acknowledge();
        await sent;
        const status = await world.near.call("GET", `/v1/environments/${connectionId}/messages/m-1`);
        expect(status.body).toMatchObject({ state: "accepted" });
        const body = { agentId: "agent-1" };
        const stop = world.near.call("POST", `/v1/environments/${connectionId}/stop`, { body, principal: controller });
        await world.near.settle();
        const request_id = socket.frames.at(-1)?.["request_id"];
        socket.say({ type: "abort_message_response", request_id, runtime, aborted: true, success: true });
        expect(await stop).toMatchObject({ status: 200, body: { stopped: true } });
      });

      test("nothing is sent to a device after its server has begun to close", async () => {
        const { connectionId, socket } = await connect("device-a");
        const closed = world.far.server.close();
        const { body } = await world.near.send(connectionId);
        await world.far.clock.advance(1_000);
        await closed;
        expect(["shutting_down", "device_offline"]).toContain(body["errorCode"]);
        expect(socket.inputs()).toEqual([]);
      });
    });
  });
}

/** Creates a harness, and returns the way from it to devices, too. */
export function createRoutedHarness(
  connectRouter: (local: LocalDevices) => DeviceRouter,
  options: Parameters<typeof createHarness>[0] = {},
): { readonly harness: Harness; readonly router: DeviceRouter } {
  let router: DeviceRouter | null = null;
  const harness = createHarness({ ...options, connectRouter: (local) => (router = connectRouter(local)) });
  if (router === null) throw new Error("the server has no way to devices");
  return { harness, router };
}
