import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { anyone, createHarness, type Harness, toAnswer, toRequest } from "./support/harness.ts";

/** Returns the problem code of a refused upgrade, or `accepted`. */
async function upgrade(
  { server }: Harness,
  connectionId: string,
  principal: Principal = anyone,
  query = "",
): Promise<string> {
  const request = toRequest("GET", `/v1/environments/${connectionId}/socket`, { query });
  const decision = await server.upgrade(request, principal);
  return decision.kind === "accepted" ? "accepted" : String(toAnswer(decision.response).body["errorCode"]);
}

describe("upgrades that are refused before the handshake", () => {
  test("an upgrade for an unknown connection, another tenant's and one outside the key's allowlist is refused with the same response", async () => {
    const harness = createHarness();
    const connectionId = await harness.register("device-1");
    const refusals = [
      await upgrade(harness, "conn-unknown"),
      await upgrade(harness, connectionId, { ...anyone, tenant: "other" }),
      await upgrade(harness, connectionId, { ...anyone, deviceIds: ["device-2"] }),
    ];
    expect(refusals).toEqual(Array(3).fill("connection_not_found"));
  });

  test("an upgrade is refused for a key without the scope 'connect'", async () => {
    const harness = createHarness();
    const connectionId = await harness.register("device-1");
    const principal: Principal = { ...anyone, scopes: new Set(["list", "read", "send"]) };
    expect(await upgrade(harness, connectionId, principal)).toBe("insufficient_scope");
  });

  test("an upgrade is refused for a key other than the one that registered the connection, even on a shared device", async () => {
    const harness = createHarness();
    const connectionId = await harness.register("device-1", { principal: { ...anyone, shared: true } });
    expect(await upgrade(harness, connectionId, { ...anyone, keyId: "key-2" })).toBe("device_owned_by_another_key");
    expect(await upgrade(harness, connectionId, { ...anyone, owner: "renamed" })).toBe("accepted");
  });

  test("an upgrade is refused for a connection that a later registration has replaced", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    await harness.connect("device-1");
    expect(await upgrade(harness, connectionId)).toBe("connection_replaced");
  });

  test("an upgrade is refused for a replaced connection before the replacement is stored", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    Object.assign(harness.store, { openConnection: () => new Promise(() => undefined) });
    await harness.connect("device-1");
    expect(await upgrade(harness, connectionId)).toBe("connection_replaced");
  });

  test("an upgrade is refused for a query that names another device", async () => {
    const harness = createHarness();
    const connectionId = await harness.register("device-1");
    expect(await upgrade(harness, connectionId, anyone, "deviceId=device-2")).toBe("connection_not_found");
    expect(await upgrade(harness, connectionId, anyone, "deviceId=device-1&connectionName=box")).toBe("accepted");
  });

  test("an upgrade is refused for every other path and for an invalid id", async () => {
    const { server } = createHarness();
    const refused = async (path: string, method = "GET"): Promise<unknown> => {
      const decision = await server.upgrade(toRequest(method, path), anyone);
      return decision.kind === "refused" ? decision.response.status : "accepted";
    };
    expect(await refused("/v1/environments")).toBe(404);
    expect(await refused("/v1/environments/conn-1/messages")).toBe(404);
    expect(await refused("/v1/environments/conn-1/stop")).toBe(405);
    expect(await refused("/v1/environments/..%2Fagents/socket")).toBe(400);
    expect(await refused("/v1/environments/conn-1/socket", "HEAD")).toBe(404);
  });
});

test("a plain request to the socket's path is 426", async () => {
  const { call } = createHarness();
  const answer = await call("GET", "/v1/environments/conn-1/socket");
  expect(answer).toMatchObject({
    status: 426,
    headers: { upgrade: "websocket" },
    body: { errorCode: "upgrade_required" },
  });
});

test("a registration that never opens its socket does not affect the connected device", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  await harness.register("device-1");
  expect(socket.closes).toEqual([]);
  expect((await harness.call("GET", "/v1/environments/device-1")).body).toMatchObject({ connectionId });
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
  expect(await upgrade(harness, connectionId)).toBe("accepted");
});

describe("one socket for each row", () => {
  const replaced = [{ code: 1000, reason: "Replaced by new connection" }];

  test("a second socket of the same connection replaces the first", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const second = await harness.open(connectionId);
    expect(socket.closes).toEqual(replaced);
    expect(second.closes).toEqual([]);
    socket.listener.onClose(1000);
    expect((await harness.call("GET", "/v1/environments/device-1")).body).toMatchObject({ connectionId });
  });

  test("the socket of a later registration replaces that of an earlier one", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    const second = await harness.connect("device-1");
    expect(socket.closes).toEqual(replaced);
    expect((await harness.call("GET", "/v1/environments/device-1")).body).toMatchObject({
      connectionId: second.connectionId,
    });
  });

  test("frames on a replaced socket do not change the row", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    await harness.connect("device-1");
    await harness.clock.advance(1_000);
    const before = await harness.call("GET", "/v1/environments/device-1");
    socket.say({ type: "ping" });
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "unrestricted" } });
    await harness.settle();
    expect(socket.frames).toEqual([]);
    expect(await harness.call("GET", "/v1/environments/device-1")).toEqual(before);
    const [row] = await harness.store.listEnvironments({
      tenant: "acme",
      afterId: null,
      environmentIds: null,
      deviceIds: null,
      owner: null,
      limit: 1,
    });
    expect(row?.currentMode).toBeNull();
  });

  test("when two handshakes overlap, the later registration keeps its socket, in either order", async () => {
    const harness = createHarness();
    const [first, second] = [await harness.register("device-1"), await harness.register("device-1")];
    const early = await harness.server.upgrade(toRequest("GET", `/v1/environments/${first}/socket`), anyone);
    const winner = await harness.open(second);
    if (early.kind === "refused") throw new Error("refused");
    const closes: unknown[] = [];
    const listener = early.attach({
      send: () => undefined,
      close: (code, reason) => void closes.push({ code, reason }),
      terminate: () => undefined,
    });
    listener.onMessage('{"type":"ping"}');
    listener.onClose(1000);
    expect(closes).toEqual(replaced);
    expect(winner.closes).toEqual([]);
    expect((await harness.call("GET", "/v1/environments/device-1")).body).toMatchObject({ connectionId: second });
  });

  test("two listeners of one device are two rows with one socket each", async () => {
    const harness = createHarness();
    const socket = await harness.open(await harness.register("device-1", { instance: "one" }));
    await harness.open(await harness.register("device-1", { instance: "two" }));
    expect(socket.closes).toEqual([]);
    expect(
      (await harness.call("GET", "/v1/environments", { query: "onlineOnly=true" })).body["connections"],
    ).toHaveLength(2);
  });
});
