/** `PATCH` and `DELETE /v1/environments/{deviceId}`: what is audited, and what reaches a remote upstream. */
import { jsonResponse, type PlainResponse, problemResponse, type Scope } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { undescribed } from "./support/api-description.ts";
import { createDeviceAdministrationProxy } from "./support/device-administration.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestAudit } from "./support/test-audit.ts";
import { bodyOf, createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";

function change(
  { proxy }: Pick<TestProxy, "proxy">,
  key: string,
  {
    path = "/v1/environments/d1",
    query = "",
    body,
    ifMatch,
  }: { path?: string; query?: string; body?: object; ifMatch?: string } = {},
): Promise<PlainResponse> {
  const method = body === undefined ? "DELETE" : "PATCH";
  const text = body === undefined ? null : JSON.stringify(body);
  const headers = ifMatch === undefined ? {} : { "if-match": ifMatch };
  return proxy.handle(fakeRequest({ key, method, path, query, body: text, headers }));
}

/** Values of `If-Match` that no device can meet: its entity tag is weak, and only strong ones match (RFC 9110 section 13.1.1). */
const unmetConditions = ['"nope"', 'W/"weak"', '"a", W/"b"', '"*"', ""];

function codeOf(response: PlainResponse): string {
  return response.status < 300 ? String(response.status) : `${response.status} ${problemOf(response).errorCode}`;
}

describe("device changes with an embedded environment server", () => {
  async function setUp() {
    const world = await createDeviceAdministrationProxy();
    const connect = await world.issueKey({ scopes: ["connect"] });
    const admin = await world.issueKey({ scopes: ["admin", "read"] });
    const closes = await world.connect(connect.key, { deviceId: "d1", connectionName: "ci-1" });
    const changes = async () => (await world.entries()).filter(({ type }) => type.startsWith("device_"));
    return { ...world, connect, admin, closes, changes };
  }

  test("a removal is audited under the key that makes it, before it is made and after", async () => {
    const world = await setUp();
    expect(codeOf(await change(world, world.admin.key))).toBe("204");
    expect(world.closes).toEqual([1008]);
    const actor = { kind: "key", keyId: world.admin.record.id, tenant: "default" };
    const entry = { actor, tenant: "default", deviceId: "d1", act: "removed" };
    expect(await world.changes()).toMatchObject([
      { type: "device_change_started", ...entry },
      { type: "device_changed", ...entry, ownerKeyId: world.connect.record.id, connectionNames: ["ci-1"] },
    ]);
  });

  test("the key of the device removes it too, and an unknown device leaves nothing in the audit log", async () => {
    const world = await setUp();
    const other = await world.issueKey({ scopes: ["connect"] });
    expect(codeOf(await change(world, other.key))).toBe("404 environment_not_found");
    expect(codeOf(await change(world, world.admin.key, { path: "/v1/environments/d9" }))).toBe(
      "404 environment_not_found",
    );
    expect(await world.changes()).toEqual([]);
    expect(codeOf(await change(world, world.connect.key))).toBe("204");
    expect(await world.changes()).toHaveLength(2);
  });

  test("new labels are audited, and a change that cannot be audited is not made: 503 audit_unavailable", async () => {
    const world = await setUp();
    const labelled = await change(world, world.admin.key, { body: { displayName: "Büro", tags: ["ci"] } });
    expect(JSON.parse(String(labelled.body))).toMatchObject({ displayName: "Büro", tags: ["ci"] });
    expect((await world.changes()).at(-1)).toMatchObject({
      act: "labelled",
      labels: { displayName: "Büro", tags: ["ci"] },
    });
    world.auditDatabase.exec("DROP TABLE audit_records");
    expect(codeOf(await change(world, world.admin.key, { body: { tags: ["gpu"] } }))).toBe("503 audit_unavailable");
    const refused = await change(world, world.admin.key);
    expect(codeOf(refused)).toBe("503 audit_unavailable");
    for (const method of ["PATCH", "DELETE"])
      expect(undescribed("/v1/environments/{deviceId}", method, refused)).toEqual([]);
    expect((await world.store.findEnvironments("default", "d1"))[0]?.tags).toEqual(["ci"]);
  });

  test("a change whose If-Match names a version is 412 and changes nothing; If-Match: * asks only that the device exists", async () => {
    const world = await setUp();
    for (const ifMatch of unmetConditions) {
      expect(codeOf(await change(world, world.admin.key, { ifMatch }))).toBe("412 precondition_failed");
      const labelled = await change(world, world.admin.key, { ifMatch, body: { tags: ["ci"] } });
      expect(problemOf(labelled).detail).toContain("Nothing was changed");
    }
    expect([await world.changes(), world.closes]).toEqual([[], []]);
    const missing = await change(world, world.admin.key, { path: "/v1/environments/d9", ifMatch: "*" });
    expect(codeOf(missing)).toBe("404 environment_not_found");
    expect(codeOf(await change(world, world.admin.key, { ifMatch: " * ", body: { tags: ["ci"] } }))).toBe("200");
    expect(codeOf(await change(world, world.admin.key, { ifMatch: "*" }))).toBe("204");
  });

  test("a body that breaks a rule is 400 naming the member", async () => {
    const world = await setUp();
    const refused = await change(world, world.admin.key, { body: { tags: ["a b"] } });
    expect(problemOf(refused)).toMatchObject({ errorCode: "invalid_request", errors: [{ member: "tags[0]" }] });
    expect(codeOf(await change(world, world.admin.key, { query: "id=a&id=b" }))).toBe("400 invalid_request");
  });
});

describe("device changes with a remote upstream", () => {
  const row = environmentRow("1", { deviceId: "d1", connectionName: "ci-1", tags: ["ci"] });

  /** A gateway in front of a server that has one device, and that responds so to changes. */
  async function setUp(respond: () => PlainResponse | Promise<PlainResponse>) {
    const audit = createTestAudit();
    const log = await audit.openWriter("writer-1");
    const proxy = createTestProxy(
      async ({ method, path }) => {
        if (method !== "GET") return respond();
        if (path === "/v1/environments/d1") return jsonResponse(200, row);
        return path === "/v1/environments"
          ? jsonResponse(200, { connections: [row], hasNextPage: false })
          : problemResponse("environment_not_found");
      },
      { ports: { audit: log } },
    );
    const admin = await proxy.issueKey({ scopes: ["admin"] });
    const sent = (): readonly string[] =>
      proxy.upstreamRequests
        .filter(({ method }) => method !== "GET")
        .map(({ method, path, query }) => {
          return `${method} ${path}${query === "" ? "" : `?${query}`}`;
        });
    const changes = async () =>
      (await audit.entries()).map(({ type }) => type).filter((type) => type.startsWith("device_"));
    return { ...proxy, admin, sent, changes, auditDatabase: audit.database };
  }

  const removed: PlainResponse = { status: 204, headers: {}, body: null };

  test("a change is forwarded once, after the device was read, and audited", async () => {
    const world = await setUp(() => removed);
    expect(codeOf(await change(world, world.admin.key, { query: "id=1" }))).toBe("204");
    expect(world.sent()).toEqual(["DELETE /v1/environments/d1?id=1"]);
    expect(await world.changes()).toEqual(["device_change_started", "device_changed"]);
  });

  test("a change whose If-Match names a version is 412, and nothing is forwarded", async () => {
    const world = await setUp(() => removed);
    for (const ifMatch of unmetConditions) {
      expect(codeOf(await change(world, world.admin.key, { ifMatch }))).toBe("412 precondition_failed");
      expect((await change(world, world.admin.key, { ifMatch, body: { tags: ["ci"] } })).status).toBe(412);
    }
    expect([world.sent(), await world.changes()]).toEqual([[], []]);
    expect(codeOf(await change(world, world.admin.key, { ifMatch: "*" }))).toBe("204");
  });

  test("a patch shows the row without hidden members", async () => {
    const world = await setUp(() => jsonResponse(200, { ...row, userId: "secret", tags: ["gpu"] }));
    const response = await change(world, world.admin.key, { body: { tags: ["gpu"] } });
    expect(JSON.parse(String(response.body))).toMatchObject({ deviceId: "d1", tags: ["gpu"], podId: null });
    expect(String(response.body)).not.toContain("secret");
  });

  test("a change that removes the tag through which the key could access the device returns the row, and is audited as made", async () => {
    const world = await setUp(() => jsonResponse(200, { ...row, tags: ["gpu"] }));
    const { key } = await world.issueKey({ scopes: ["admin"], deviceTags: ["ci"] });
    expect(codeOf(await change(world, key, { body: { tags: ["gpu"] } }))).toBe("200");
    expect(await world.changes()).toEqual(["device_change_started", "device_changed"]);
  });

  test.each([200, 202, 206])(
    "a removal to which the server responds with %i is unknown in the audit log",
    async (status) => {
      const world = await setUp(() => jsonResponse(status, {}));
      expect(codeOf(await change(world, world.admin.key))).toBe("502 upstream_invalid_response");
      expect(await world.changes()).toEqual(["device_change_started", "device_change_unknown"]);
    },
  );

  test.each([
    ["no row", { later: true }, "invalid"],
    ["the row of another device", { ...row, deviceId: "d2" }, "other_device"],
  ])("a change whose success has %s is unknown in the audit log", async (_content, body, reason) => {
    const world = await setUp(() => jsonResponse(200, body));
    expect(codeOf(await change(world, world.admin.key, { body: { tags: ["ci"] } }))).toBe(
      "502 upstream_invalid_response",
    );
    expect(await world.changes()).toEqual(["device_change_started", "device_change_unknown"]);
    expect(world.events).toContainEqual(expect.objectContaining({ operation: "updateEnvironment", reason }));
  });

  test("a device that the key cannot access is 404 like an unknown one, and nothing is forwarded", async () => {
    const world = await setUp(() => removed);
    const unknown = await change(world, world.admin.key, { path: "/v1/environments/d9" });
    for (const restriction of [{ connectionNames: ["prod-*"] }, { deviceTags: ["gpu"] }, { deviceIds: ["d2"] }]) {
      const { key } = await world.issueKey({ scopes: ["admin"], ...restriction });
      expect(problemOf(await change(world, key))).toEqual(problemOf(unknown));
    }
    expect(codeOf(await change(world, world.admin.key, { query: "id=2" }))).toBe("404 environment_not_found");
    const { key } = await world.issueKey({ scopes: ["connect"] });
    expect(codeOf(await change(world, key))).toBe("403 insufficient_scope");
    expect(world.sent()).toEqual([]);
    expect(await world.changes()).toEqual([]);
  });

  test.each([404, 405, 501])("a server that returns %i does not have the endpoint", async (status) => {
    const world = await setUp(() => jsonResponse(status, { message: "nope" }));
    expect(codeOf(await change(world, world.admin.key))).toBe("404 endpoint_not_found");
    expect(await world.changes()).toEqual(["device_change_started", "device_change_abandoned"]);
  });

  test("a device that another gateway no longer finds is 404 environment_not_found", async () => {
    const world = await setUp(() => problemResponse("environment_not_found"));
    expect(codeOf(await change(world, world.admin.key))).toBe("404 environment_not_found");
  });

  test("a change to which the server does not respond is unknown in the audit log", async () => {
    const world = await setUp(() => jsonResponse(503, {}));
    expect((await change(world, world.admin.key)).status).toBe(503);
    expect(await world.changes()).toEqual(["device_change_started", "device_change_unknown"]);
  });

  test("a change that cannot be audited is not forwarded, and the log has the cause", async () => {
    const world = await setUp(() => removed);
    world.auditDatabase.exec("DROP TABLE audit_records");
    const refused = await change(world, world.admin.key);
    expect([codeOf(refused), world.sent()]).toEqual(["503 audit_unavailable", []]);
    const requestId = refused.headers["x-request-id"];
    expect(world.events).toContainEqual(expect.objectContaining({ type: "audit_failed", requestId }));
  });
});

describe("the device that ran a conversation last, with a remote upstream", () => {
  const update = { supported: true, writable: true };
  const runtime = {
    ...{ environmentId: "env-1", deviceId: "d1", connectionName: "ci-1", status: "online", isOnline: true },
    ...{ metadata: { self_update: { ...update, install_path: "/hidden" } }, source: "environment" },
    ...{ lastSeenAt: 2, lastUsedAt: 1 },
  };
  const path = "/v1/environments/runtimes/agent-1/default/last";
  const row = environmentRow("1", { deviceId: "d1", connectionName: "ci-1", tags: ["ci"] });

  function setUp(respond: () => PlainResponse): TestProxy {
    return createTestProxy(async (request) => (request.path === path ? respond() : jsonResponse(200, row)));
  }

  test("the last device of a conversation is shown to keys that may use it, without hidden members", async () => {
    const world = setUp(() => jsonResponse(200, runtime));
    const get = async (restriction: object): Promise<PlainResponse> =>
      world.proxy.handle(fakeRequest({ path, key: (await world.issueKey({ scopes: ["read"], ...restriction })).key }));
    for (const restriction of [{}, { deviceIds: ["d1"] }, { deviceTags: ["ci"] }, { connectionNames: ["ci-*"] }]) {
      const response = await get(restriction);
      expect([response.status, String(response.body).includes("/hidden")]).toEqual([200, false]);
    }
    for (const restriction of [{ deviceIds: ["d2"] }, { deviceTags: ["gpu"] }, { connectionNames: ["prod-*"] }]) {
      expect(codeOf(await get(restriction))).toBe("404 environment_not_found");
    }
    expect((await get({ scopes: ["read", "details"] })).body).toContain("/hidden");
  });

  test("what identifies the server or the owner of a device is shown with the last device to keys with scope details only", async () => {
    const internal = { organizationId: "org-1", podId: "pod-1", apiKeyOwner: "owner-1", userId: "user-1" };
    const own = { "content-type": "application/json", "x-ratelimit-limit": "7" };
    const world = setUp(() => ({ ...jsonResponse(200, { ...runtime, ...internal, newer: 1 }), headers: own }));
    const get = async (scopes: Scope[]): Promise<PlainResponse> =>
      world.proxy.handle(fakeRequest({ path, key: (await world.issueKey({ scopes })).key }));
    const response = await get(["read"]);
    expect(bodyOf(response)).toEqual({ ...runtime, metadata: { self_update: update }, newer: 1 });
    expect(response.headers).toMatchObject({ "x-ratelimit-limit": "7" });
    expect(bodyOf(await get(["read", "details"]))).toEqual({ ...runtime, ...internal, newer: 1 });
  });

  test("the last device of an agent that the key may not use looks like an unknown conversation, and the server is not called", async () => {
    const known = setUp(() => jsonResponse(200, runtime));
    const unknown = setUp(() => problemResponse("environment_not_found"));
    const get = async (world: TestProxy, agentIds: string[]): Promise<PlainResponse> =>
      world.proxy.handle(fakeRequest({ path, key: (await world.issueKey({ scopes: ["read"], agentIds })).key }));
    expect((await get(known, ["agent-2"])).body).toBe((await get(unknown, ["agent-1"])).body);
    expect(known.upstreamRequests).toEqual([]);
    expect((await get(known, ["agent-1"])).status).toBe(200);
  });

  test.each([
    ["404 environment_not_found", problemResponse("environment_not_found")],
    ["404 endpoint_not_found", jsonResponse(404, { message: "no such route" })],
    ["502 upstream_invalid_response", jsonResponse(200, { later: true })],
    ["502 upstream_invalid_response", jsonResponse(200, environmentRow("1", { deviceId: "d1" }))],
    ["502 upstream_invalid_response", jsonResponse(200, { ...runtime, lastUsedAt: "1" })],
    ["502 upstream_invalid_response", jsonResponse(200, { ...runtime, metadata: undefined })],
    ["200", jsonResponse(200, { ...runtime, environmentId: null, lastSeenAt: null, metadata: null, status: "newer" })],
  ])("the last device is %s where the server says so", async (expected, response) => {
    const world = setUp(() => response);
    const { key } = await world.issueKey({ scopes: ["read"] });
    expect(codeOf(await world.proxy.handle(fakeRequest({ path, key })))).toBe(expected);
  });
});

describe("lists with tags, with a remote upstream", () => {
  const rows = [["ci"], ["ci", "gpu"], undefined].map((tags, index) =>
    environmentRow(String(index), { deviceId: `d${index}`, ...(tags !== undefined && { tags }) }),
  );

  test("a list with tags contains exactly the rows with those tags, whether or not the server supports them", async () => {
    const proxy = createTestProxy(() => Promise.resolve(jsonResponse(200, { connections: rows, hasNextPage: false })));
    const list = async (query: string, restriction: object = {}): Promise<readonly string[]> => {
      const { key } = await proxy.issueKey({ scopes: ["list"], ...restriction });
      const { body } = await proxy.proxy.handle(fakeRequest({ key, query }));
      return (JSON.parse(String(body)) as { connections: { deviceId: string }[] }).connections.map(
        (row) => row.deviceId,
      );
    };
    expect(await list("tag=ci")).toEqual(["d0", "d1"]);
    expect(await list("tag=ci&tag=gpu")).toEqual(["d1"]);
    expect(await list("", { deviceTags: ["gpu"] })).toEqual(["d1"]);
    expect(await list("tag=ci", { deviceTags: ["gpu"] })).toEqual(["d1"]);
    expect(await list("", { deviceTags: ["other"] })).toEqual([]);
    expect(proxy.upstreamRequests[0]?.query).toContain("tag=ci");
  });
});

test("unavailable extensions are 404 endpoint_not_found with the reason, for every key", async () => {
  const proxy = createTestProxy(undefined, { remote: { isolatesRequests: true } });
  const response = await change(proxy, "no key");
  expect(problemOf(response)).toMatchObject({
    errorCode: "endpoint_not_found",
    detail: expect.stringContaining("Cloudflare Workers"),
  });
});
