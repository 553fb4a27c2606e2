import { ChangeRefusedError, type Principal, type Scope } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { anyone, type Answer, createHarness, type Harness, toRequest } from "./support/harness.ts";

const path = "/v1/environments/d-1";

function withScopes(scopes: readonly Scope[], members: Partial<Principal> = {}): Principal {
  return { ...anyone, keyId: "key-9", scopes: new Set(scopes), ...members };
}

const admin = withScopes(["admin", "list", "read"]);
const owner = { ...anyone, scopes: new Set<Scope>(["connect"]) };

async function twoListeners(): Promise<Harness> {
  const harness = createHarness();
  await harness.register("d-1");
  await harness.register("d-1", { instance: "second" });
  await harness.register("d-2");
  return harness;
}

async function idsOf({ call }: Harness, query = ""): Promise<readonly unknown[]> {
  const { body } = await call("GET", "/v1/environments", { query });
  return (body["connections"] as { deviceId: string }[]).map(({ deviceId }) => deviceId);
}

function codeOf({ status, body }: Answer): string {
  const { errorCode } = body;
  return typeof errorCode === "string" ? `${status} ${errorCode}` : String(status);
}

describe("DELETE of a device", () => {
  test("DELETE of a device with the scope admin removes all its rows, and closes its sockets", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("d-1");
    await harness.register("d-1", { instance: "second" });
    await harness.register("d-2");
    const answer = await harness.call("DELETE", path, { principal: admin });
    expect(answer).toMatchObject({ status: 204, body: {} });
    expect(socket.closes).toEqual([{ code: 1008, reason: "The device was removed" }]);
    expect(await idsOf(harness)).toEqual(["d-2"]);
  });

  test("DELETE of a device with an id removes that row only", async () => {
    const harness = await twoListeners();
    const { body } = await harness.call("GET", "/v1/environments");
    const [first] = body["connections"] as { id: string }[];
    const query = `id=${first?.id}`;
    expect(codeOf(await harness.call("DELETE", path, { principal: admin, query }))).toBe("204");
    expect(await idsOf(harness)).toEqual(["d-1", "d-2"]);
    expect(harness.events.filter(({ type }) => type.endsWith("_removed"))).toEqual([
      { type: "environment_removed", tenant: "acme", environmentId: first?.id, deviceId: "d-1" },
    ]);
    const again = await harness.call("DELETE", path, { principal: admin, query });
    expect(codeOf(again)).toBe("404 environment_not_found");
  });

  test("the key that enrolled a device needs only the scope connect to remove it, and cannot remove other devices", async () => {
    const harness = await twoListeners();
    const stranger = withScopes(["connect"]);
    expect(codeOf(await harness.call("DELETE", path, { principal: stranger }))).toBe("404 environment_not_found");
    expect(codeOf(await harness.call("DELETE", path, { principal: owner }))).toBe("204");
    expect(await idsOf(harness)).toEqual(["d-2"]);
  });

  test("DELETE of a device without either scope is 403", async () => {
    const harness = await twoListeners();
    const principal = withScopes(["list", "read", "send"], { keyId: "key-1" });
    expect(codeOf(await harness.call("DELETE", path, { principal }))).toBe("403 insufficient_scope");
  });

  test("DELETE of an unknown device and of an inaccessible one are the same 404", async () => {
    const harness = await twoListeners();
    const unknown = await harness.call("DELETE", "/v1/environments/d-9", { principal: admin });
    const others = [
      withScopes(["admin"], { tenant: "other" }),
      withScopes(["admin"], { deviceIds: ["d-2"] }),
      withScopes(["admin"], { connectionNames: ["other*"] }),
      withScopes(["admin"], { deviceTags: ["ci"] }),
    ];
    for (const principal of others) expect(await harness.call("DELETE", path, { principal })).toEqual(unknown);
    expect(codeOf(unknown)).toBe("404 environment_not_found");
    expect(await idsOf(harness)).toEqual(["d-1", "d-1", "d-2"]);
  });

  test("DELETE of a device with an inaccessible row is refused", async () => {
    const harness = await twoListeners();
    await harness.call("POST", "/v1/environments/register", {
      body: { deviceId: "d-1", listenerInstanceId: "third", connectionName: "hidden" },
    });
    const principal = withScopes(["admin"], { connectionNames: ["name of *"] });
    expect(codeOf(await harness.call("DELETE", path, { principal }))).toBe("403 grant_not_allowed");
    expect(await idsOf(harness)).toEqual(["d-1", "d-1", "d-2", "d-1"]);
  });
});

describe("PATCH of a device", () => {
  test("PATCH of a device assigns labels that rows and lists show, and that a registration does not change", async () => {
    const harness = await twoListeners();
    const body = { displayName: "Büro 1", tags: ["linux", "ci"], later: true };
    const answer = await harness.call("PATCH", path, { principal: admin, body });
    const labels = { displayName: "Büro 1", tags: ["ci", "linux"] };
    expect(answer).toMatchObject({ status: 200, body: { deviceId: "d-1", ...labels } });
    await harness.register("d-1");
    expect((await harness.call("GET", path)).body).toMatchObject(labels);
    const other = (await harness.call("GET", "/v1/environments/d-2")).body;
    expect([Object.hasOwn(other, "displayName"), Object.hasOwn(other, "tags")]).toEqual([false, false]);
    await harness.call("PATCH", path, { principal: admin, body: { displayName: null, tags: [] } });
    expect(Object.hasOwn((await harness.call("GET", path)).body, "tags")).toBe(false);
  });

  test("a device cannot give itself a tag", async () => {
    const harness = createHarness();
    const body = { deviceId: "d-1", connectionName: "box", tags: ["ci"], displayName: "x", metadata: { tags: ["ci"] } };
    await harness.call("POST", "/v1/environments/register", { body });
    expect(await idsOf(harness, "tag=ci")).toEqual([]);
    expect((await harness.call("GET", path)).body).not.toHaveProperty("displayName");
  });

  test("PATCH of a device needs the scope admin, even from the key that owns the device", async () => {
    const harness = await twoListeners();
    const principal = { ...anyone };
    const answer = await harness.call("PATCH", path, { principal, body: { tags: ["ci"] } });
    expect(codeOf(answer)).toBe("403 insufficient_scope");
  });

  test("PATCH of an inaccessible device is the same 404 as of an unknown one, and a body without a change is 400", async () => {
    const harness = await twoListeners();
    const patch = (target: string, principal: Principal, body: object = { tags: ["ci"] }): Promise<Answer> =>
      harness.call("PATCH", target, { principal, body });
    const unknown = await patch("/v1/environments/d-9", admin);
    expect(await patch(path, withScopes(["admin"], { deviceIds: ["d-2"] }))).toEqual(unknown);
    expect(await patch(path, admin, { tag: ["ci"] })).toMatchObject({
      status: 400,
      body: { errors: [{ member: "body", rule: "must have displayName or tags" }] },
    });
  });

  test("a principal that removes its own last tag from a device still receives the row, and then loses access", async () => {
    const harness = await twoListeners();
    await harness.call("PATCH", path, { principal: admin, body: { tags: ["ci"] } });
    const principal = withScopes(["admin", "read"], { deviceTags: ["ci"] });
    const answer = await harness.call("PATCH", path, { principal, body: { tags: null, displayName: "Box" } });
    expect(answer).toMatchObject({ status: 200, body: { deviceId: "d-1", displayName: "Box" } });
    expect(codeOf(await harness.call("GET", path, { principal }))).toBe("404 environment_not_found");
  });

  test("a change that the device administration refuses ends with that response", async () => {
    const harness = await twoListeners();
    const refuse = (): Promise<never> =>
      Promise.reject(new ChangeRefusedError({ status: 503, headers: {}, body: '{"errorCode":"audit_unavailable"}' }));
    const devices = { ...harness.server.devices, remove: refuse };
    const response = await harness.server.handle(toRequest("DELETE", path), admin, { authority: null, devices });
    expect(response.status).toBe(503);
    expect(await idsOf(harness)).toEqual(["d-1", "d-1", "d-2"]);
  });
});

describe("devices selected by tags", () => {
  async function tagged(): Promise<Harness> {
    const harness = createHarness();
    const tags: Record<string, string[]> = { "d-1": ["ci", "linux"], "d-2": ["ci"], "d-3": ["gpu"], "d-4": [] };
    for (const [deviceId, list] of Object.entries(tags)) {
      await harness.connect(deviceId);
      await harness.call("PATCH", `/v1/environments/${deviceId}`, { principal: admin, body: { tags: list } });
    }
    return harness;
  }

  test.each([
    ["tag=ci", ["d-1", "d-2"]],
    ["tag=ci&tag=linux", ["d-1"]],
    ["tag=ci&onlineOnly=true&limit=1", ["d-1"]],
    ["tag=CI", []],
  ])("tags select the devices of a list with %s", async (query, expected) => {
    expect(await idsOf(await tagged(), query)).toEqual(expected);
  });

  test("tags in a principal limit lists, reads, sends and removals to devices with one of them", async () => {
    const harness = await tagged();
    const principal = { ...anyone, deviceTags: ["gpu", "linux"] };
    const { body } = await harness.call("GET", "/v1/environments", { principal });
    const rows = body["connections"] as { deviceId: string; connectionId: string }[];
    expect(rows.map(({ deviceId }) => deviceId)).toEqual(["d-1", "d-3"]);
    expect(codeOf(await harness.call("GET", "/v1/environments/d-2", { principal }))).toBe("404 environment_not_found");
    const { connectionId } = (await harness.call("GET", "/v1/environments/d-2")).body;
    const sent = await harness.send(String(connectionId), {}, { principal });
    expect(codeOf(sent)).toBe("404 connection_not_found");
  });

  test("tags take effect immediately when they change", async () => {
    const harness = await tagged();
    const principal = { ...anyone, deviceTags: ["gpu"] };
    expect((await harness.call("GET", path, { principal })).status).toBe(404);
    await harness.call("PATCH", path, { principal: admin, body: { tags: ["gpu"] } });
    expect((await harness.call("GET", path, { principal })).status).toBe(200);
  });

  test("a key with tags enrols only devices that already have one of them", async () => {
    const harness = await tagged();
    const principal = { ...anyone, deviceTags: ["gpu"] };
    await expect(harness.register("d-3", { principal })).resolves.toMatch(/^env-conn-/);
    await expect(harness.register("d-4", { principal })).rejects.toThrow("device_not_allowed");
    await expect(harness.register("d-9", { principal })).rejects.toThrow("device_not_allowed");
  });
});
