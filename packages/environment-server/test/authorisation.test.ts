import { type Environment, type Principal, scopes } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { commandTimeoutMs } from "../src/limits.ts";
import { type Answer, anyone, createHarness, type Harness, userMessage } from "./support/harness.ts";

const named = (...connectionNames: string[]): Principal => ({ ...anyone, connectionNames });
const codeOf = ({ status, body }: Answer): unknown => body["errorCode"] ?? status;

async function rows({ call, settle }: Harness, principal: Principal, query = ""): Promise<[string[], unknown]> {
  const answer = call("GET", "/v1/environments", { principal, query });
  await settle();
  const { body } = await answer;
  const connections = body["connections"] as Environment[];
  return [connections.map((row) => row.connectionName), body["hasNextPage"]];
}

function registration(deviceId: string, connectionName: string, listenerInstanceId = "default"): { body: unknown } {
  return { body: { deviceId, connectionName, listenerInstanceId } };
}

async function registerNamed({ call }: Harness, deviceId: string, name: string, instance?: string): Promise<string> {
  const answer = await call("POST", "/v1/environments/register", registration(deviceId, name, instance));
  return String(answer.body["connectionId"]);
}

describe("keys with name patterns", () => {
  test("a key with name patterns lists the matching rows in full pages, and the last page has no next one", async () => {
    const harness = createHarness();
    for (let number = 1; number <= 1_201; number++) {
      const name = `${number % 400 === 1 ? "ci" : "prod"}-${number}`;
      const principal = { ...anyone, keyId: `key-${number % 2}` };
      await harness.call("POST", "/v1/environments/register", { ...registration(`device-${number}`, name), principal });
    }
    expect(await rows(harness, named("ci-*"))).toEqual([["ci-1", "ci-401", "ci-801", "ci-1201"], false]);
    expect(await rows(harness, named("ci-*"), "limit=3")).toEqual([["ci-1", "ci-401", "ci-801"], true]);
    expect(await rows(harness, named("ci-*"), "limit=4")).toMatchObject([{ length: 4 }, false]);
    const { body } = await harness.call("GET", "/v1/environments/device-801");
    expect(await rows(harness, named("ci-*"), `after=${String(body["id"])}`)).toEqual([["ci-1201"], false]);
    expect(await rows(harness, named("none"))).toEqual([[], false]);
    expect(await rows(harness, { ...named("*-1201"), deviceIds: ["device-2"] })).toEqual([
      ["prod-2", "ci-1201"],
      false,
    ]);
  });

  test("a list with many name patterns yields to other work after a few names", async () => {
    const harness = createHarness();
    for (let number = 1; number <= 30; number++) await registerNamed(harness, `device-${number}`, `ci-${number}`);
    const patterns = Array.from({ length: 1_000 }, (_, index) => `*-${index}-`).concat("*-30");
    let matched = 0;
    const some = patterns.some.bind(patterns);
    Object.assign(patterns, { some: (...values: Parameters<typeof some>) => (matched++, some(...values)) });
    const answer = harness.call("GET", "/v1/environments", { principal: { ...anyone, connectionNames: patterns } });
    await new Promise((resolve) => setImmediate(resolve));
    expect(matched).toBeGreaterThan(0);
    expect(matched).toBeLessThanOrEqual(5);
    await harness.settle();
    expect((await answer).body["connections"]).toMatchObject([{ connectionName: "ci-30" }]);
  });

  test("a key with name patterns retrieves the matching rows of a device, and no other device", async () => {
    const harness = createHarness();
    await registerNamed(harness, "device-1", "ci-1", "one");
    await harness.clock.advance(1_000);
    await registerNamed(harness, "device-1", "prod-1", "two");
    const read = async (principal: Principal): Promise<unknown> => {
      const answer = await harness.call("GET", "/v1/environments/device-1", { principal });
      return answer.body["connectionName"] ?? codeOf(answer);
    };
    expect([await read(anyone), await read(named("ci-*")), await read(named("x-*"))]).toEqual([
      "prod-1",
      "ci-1",
      "environment_not_found",
    ]);
  });

  test("a key with name patterns sends to a matching device; any other is 404, as if it did not exist", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
    expect(codeOf(await harness.send(connectionId, {}, { principal: named("name of *") }))).toBe(200);
    const refused = await harness.send(connectionId, {}, { principal: named("other") });
    expect(refused).toEqual(await harness.send("conn-unknown", {}, { principal: named("other") }));
    expect(codeOf(refused)).toBe("connection_not_found");
    expect(socket.inputs()).toHaveLength(1);
  });

  test("a key with name patterns enrols a device under a matching name, and opens sockets only for such devices", async () => {
    const { call, register, open } = createHarness();
    const enrol = async (name: string, principal: Principal): Promise<unknown> =>
      codeOf(await call("POST", "/v1/environments/register", { ...registration("device-1", name), principal }));
    expect(await enrol("prod-1", named("ci-*"))).toBe("device_not_allowed");
    expect(await enrol("ci-1", named("ci-*"))).toBe(200);
    expect(await enrol("prod-1", { ...named("ci-*"), deviceIds: ["device-1"] })).toBe(200);
    const connectionId = await register("device-2");
    await expect(open(connectionId, named("ci-*"))).rejects.toThrow("connection_not_found");
    await expect(open(connectionId, named("name of *"))).resolves.toBeDefined();
  });

  test("a key with name patterns cannot gain access to a shared device by renaming it", async () => {
    const harness = createHarness();
    const shared = { ...registration("device-1", "prod-1"), principal: { ...anyone, shared: true } };
    await harness.call("POST", "/v1/environments/register", shared);
    const principal: Principal = { ...named("ci-*"), keyId: "key-2" };
    const answer = await harness.call("POST", "/v1/environments/register", {
      ...registration("device-1", "ci-1"),
      principal,
    });
    expect(codeOf(answer)).toBe("device_not_allowed");
    expect(await rows(harness, principal)).toEqual([[], false]);
  });
});

test("a key of a tenant that is limited to some devices cannot see the others", async () => {
  const harness = createHarness();
  await registerNamed(harness, "device-1", "ci-1");
  await registerNamed(harness, "device-2", "ci-2");
  const tenantDevices = { deviceIds: ["device-2"], connectionNames: null };
  expect(await rows(harness, { ...anyone, tenantDevices })).toEqual([["ci-2"], false]);
  const answer = await harness.call("GET", "/v1/environments/device-1", { principal: { ...anyone, tenantDevices } });
  expect(codeOf(answer)).toBe("environment_not_found");
});

test("a key that is limited to some agents cannot send to others or without an agent", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
  const principal: Principal = { ...anyone, agentIds: ["agent-1"] };
  const send = async (body: object): Promise<unknown> => codeOf(await harness.send(connectionId, body, { principal }));
  expect(await send({ agentId: "agent-2" })).toBe("agent_not_allowed");
  expect(await send({ agentId: undefined, conversationId: "conv-1" })).toBe("agent_not_allowed");
  expect(socket.inputs()).toHaveLength(0);
  expect(await send({ agentId: "agent-1" })).toBe(200);
});

describe("keys with a maximum mode", () => {
  const principal: Principal = { ...anyone, maxMode: "acceptEdits" };
  const statusFrame = (mode: string): unknown => ({
    type: "update_device_status",
    runtime: { agent_id: "agent-1", conversation_id: "default" },
    device_status: { current_permission_mode: mode },
  });

  async function connected(): Promise<
    Harness & { connectionId: string; socket: Awaited<ReturnType<Harness["open"]>> }
  > {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.onFrame = ({ type }) => {
      if (type === "input") queueMicrotask(() => socket.acknowledge());
    };
    return { ...harness, connectionId, socket };
  }

  test("a key with a maximum mode sends to a device in that mode or a stricter one, and not when the mode is freer, not reported or unknown", async () => {
    const { connectionId, socket, send, clock } = await connected();
    const attempt = async (id: string): Promise<unknown> =>
      codeOf(await send(connectionId, { messages: [userMessage(id)] }, { principal }));
    const unreported = attempt("m-1");
    await clock.advance(commandTimeoutMs);
    expect(await unreported).toBe("mode_not_allowed");
    const expected = {
      standard: 200,
      unrestricted: "mode_not_allowed",
      acceptEdits: 200,
      newer: "mode_not_allowed",
      default: 200,
      bypassPermissions: "mode_not_allowed",
    };
    for (const [mode, code] of Object.entries(expected)) {
      socket.say(statusFrame(mode));
      expect([mode, await attempt(`m-${mode}`)]).toEqual([mode, code]);
    }
    expect(socket.inputs()).toHaveLength(3);
  });

  test("a maximum mode is checked against the mode when the frame is sent, not when the request arrives, and the id stays free", async () => {
    const { connectionId, socket, send, store } = await connected();
    socket.say(statusFrame("standard"));
    const { reserve } = store;
    store.reserve = async (...parameters) => {
      const reserved = await reserve(...parameters);
      socket.say(statusFrame("unrestricted"));
      return reserved;
    };
    expect(codeOf(await send(connectionId, {}, { principal }))).toBe("mode_not_allowed");
    expect(socket.inputs()).toHaveLength(0);
    store.reserve = reserve;
    socket.say(statusFrame("standard"));
    const answer = await send(connectionId, {}, { principal });
    expect([codeOf(answer), answer.headers["idempotency-replayed"]]).toEqual([200, undefined]);
  });

  test("a key with a maximum mode cannot send after a reconnect until the device has reported its mode again", async () => {
    const { connectionId, socket, send, open, settle, clock } = await connected();
    socket.say(statusFrame("standard"));
    socket.listener.onClose(1006);
    await settle();
    const again = await open(connectionId);
    again.onFrame = ({ type }) => {
      if (type === "input") queueMicrotask(() => again.acknowledge());
    };
    const unreported = send(connectionId, {}, { principal });
    await clock.advance(commandTimeoutMs);
    expect(codeOf(await unreported)).toBe("mode_not_allowed");
    again.say(statusFrame("standard"));
    expect(codeOf(await send(connectionId, {}, { principal }))).toBe(200);
  });

  test("a key with a maximum mode receives the first result of a repeated id in any mode", async () => {
    const { connectionId, socket, send } = await connected();
    socket.say(statusFrame("standard"));
    await send(connectionId, {}, { principal });
    socket.say(statusFrame("unrestricted"));
    expect(codeOf(await send(connectionId, {}, { principal }))).toBe(200);
    expect(socket.inputs()).toHaveLength(1);
  });
});

test("list and retrieve show hidden members only to a key with the scope 'details'", async () => {
  const harness = createHarness();
  const metadata = { os: "linux", self_update: { supported: true, writable: true, install_path: "/home/ada/letta" } };
  const connected = await harness.call("POST", "/v1/environments/register", {
    body: { deviceId: "device-1", connectionName: "box", metadata },
  });
  await harness.open(String(connected.body["connectionId"]));
  const plainly: Principal = { ...anyone, scopes: new Set(["list", "read"]), tenantName: "Acme Ltd" };
  const fully: Principal = { ...plainly, scopes: new Set(scopes) };
  const read = async (principal: Principal): Promise<unknown[]> => {
    const list = await harness.call("GET", "/v1/environments", { principal });
    const row = await harness.call("GET", "/v1/environments/device-1", { principal });
    return [...(list.body["connections"] as unknown[]), row.body];
  };
  for (const row of await read(fully)) {
    expect(row).toMatchObject({ podId: "pod-1", organizationId: "acme", userId: "ada", apiKeyOwner: "ada", metadata });
  }
  for (const row of await read(plainly)) {
    expect(row).toMatchObject({ podId: null, organizationId: "Acme Ltd", connectionId: expect.any(String) });
    expect(row).not.toHaveProperty("userId");
    expect(row).not.toHaveProperty("apiKeyOwner");
    expect(row).toHaveProperty("metadata", { os: "linux", self_update: { supported: true, writable: true } });
  }
});
