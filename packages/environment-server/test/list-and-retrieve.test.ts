import { type Environment, EnvironmentListSchema, EnvironmentSchema, type Principal } from "@letta-environments/schema";
import { parse } from "valibot";
import { describe, expect, test } from "vitest";
import { anyone, type CallOptions, createHarness, type Harness } from "./support/harness.ts";

async function list(
  { call }: Harness,
  query = "",
  options: CallOptions = {},
): Promise<{ rows: Environment[]; more: boolean }> {
  const answer = await call("GET", "/v1/environments", { query, ...options });
  expect(answer.status).toBe(200);
  const { connections, hasNextPage } = parse(EnvironmentListSchema, answer.body);
  return { rows: connections, more: hasNextPage };
}

const deviceIds = (rows: readonly Environment[]): string[] => rows.map((row) => row.deviceId);

describe("list queries", () => {
  test("paging by the last row's id shows every row once, in order, and the last page has no next one", async () => {
    const harness = createHarness();
    for (let number = 1; number <= 7; number++) await harness.register(`device-${number}`);
    const seen: string[] = [];
    let page = await list(harness, "limit=3");
    for (let pages = 1; ; pages++) {
      seen.push(...deviceIds(page.rows));
      expect(pages).toBeLessThan(5);
      if (!page.more) break;
      page = await list(harness, `limit=3&after=${page.rows.at(-1)?.id}`);
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7].map((number) => `device-${number}`));
  });

  test("a page has 50 rows by default, and a full last page has no next one", async () => {
    const harness = createHarness();
    for (let number = 0; number < 50; number++) await harness.register(`device-${number}`);
    expect(await list(harness)).toMatchObject({ more: false, rows: { length: 50 } });
    await harness.register("device-50");
    expect(await list(harness)).toMatchObject({ more: true, rows: { length: 50 } });
    expect(await list(harness, "limit=51")).toMatchObject({ more: false });
  });

  test("onlineOnly lists exactly the devices that are online", async () => {
    const harness = createHarness();
    const first = await harness.connect("device-1");
    await harness.register("device-2");
    await harness.connect("device-3");
    await harness.clock.advance(60_000);
    first.socket.say({ type: "ping" });
    expect(deviceIds((await list(harness, "onlineOnly=true")).rows)).toEqual(["device-1", "device-3"]);
    await harness.clock.advance(60_000);
    expect(deviceIds((await list(harness, "onlineOnly=true")).rows)).toEqual(["device-1"]);
    expect((await list(harness, "onlineOnly=false")).rows).toHaveLength(3);
  });

  test("onlineOnly fills its pages with online rows", async () => {
    const harness = createHarness();
    for (let number = 1; number <= 6; number++) {
      if (number % 2 === 0) await harness.connect(`device-${number}`);
      else await harness.register(`device-${number}`);
    }
    const page = await list(harness, "onlineOnly=true&limit=2");
    expect([deviceIds(page.rows), page.more]).toEqual([["device-2", "device-4"], true]);
  });

  test("source=local matches every row and source=remote none", async () => {
    const harness = createHarness();
    await harness.register("device-1");
    expect((await list(harness, "source=local")).rows).toHaveLength(1);
    expect(await list(harness, "source=remote")).toEqual({ rows: [], more: false });
  });

  test("userId matches the owner of the key that enrolled the device", async () => {
    const harness = createHarness();
    await harness.register("device-1");
    await harness.register("device-2", { principal: { ...anyone, keyId: "key-2", owner: "bob" } });
    expect(deviceIds((await list(harness, "userId=bob")).rows)).toEqual(["device-2"]);
    expect((await list(harness, "userId=nobody")).rows).toEqual([]);
  });

  test("userId selects no row without the scope details, because the rows would reveal the owner", async () => {
    const harness = createHarness();
    await harness.register("device-1");
    const principal: Principal = { ...anyone, scopes: new Set(["list"]) };
    for (const owner of [anyone.owner, "nobody"]) {
      const listed = await harness.call("GET", "/v1/environments", { query: `userId=${owner}`, principal });
      expect(listed).toMatchObject({ status: 200, body: { connections: [], hasNextPage: false } });
    }
  });

  test("a tenant sees only its own devices, and a key with a device allowlist only those", async () => {
    const harness = createHarness();
    await harness.connect("device-1");
    await harness.connect("device-2");
    const other: Principal = { ...anyone, tenant: "other" };
    expect((await list(harness, "", { principal: other })).rows).toEqual([]);
    expect((await list(harness, "onlineOnly=true", { principal: other })).rows).toEqual([]);
    const narrow: Principal = { ...anyone, deviceIds: ["device-2"] };
    expect(deviceIds((await list(harness, "limit=1", { principal: narrow })).rows)).toEqual(["device-2"]);
    expect((await list(harness, "", { principal: { ...anyone, deviceIds: [] } })).rows).toEqual([]);
  });

  test("a query that breaks a rule is 400 naming the parameter", async () => {
    const { call } = createHarness();
    for (const [query, member] of [
      ["limit=0", "limit"],
      ["limit=101", "limit"],
      ["onlineOnly=yes", "onlineOnly"],
    ] as const) {
      expect(await call("GET", "/v1/environments", { query })).toMatchObject({
        status: 400,
        body: { errors: [{ member }] },
      });
    }
  });
});

describe("retrieving a device", () => {
  test("an unknown device, another tenant's and one outside the key's allowlist are the same 404", async () => {
    const { call, register } = createHarness();
    await register("device-1");
    const asked = [
      await call("GET", "/v1/environments/device-9"),
      await call("GET", "/v1/environments/device-1", { principal: { ...anyone, tenant: "other" } }),
      await call("GET", "/v1/environments/device-1", { principal: { ...anyone, deviceIds: ["device-2"] } }),
    ];
    for (const answer of asked) {
      expect(answer).toEqual(asked[0]);
      expect(answer).toMatchObject({ status: 404, body: { errorCode: "environment_not_found" } });
    }
  });

  test("a device with several rows is shown as its online row with the latest heartbeat, or else as the row seen last", async () => {
    const { call, register, open, clock } = createHarness();
    const shown = async (): Promise<unknown> =>
      parse(EnvironmentSchema, (await call("GET", "/v1/environments/device-1")).body).id;
    const rows = async (): Promise<readonly string[]> =>
      parse(EnvironmentListSchema, (await call("GET", "/v1/environments")).body).connections.map(({ id }) => id);
    const first = await open(await register("device-1", { instance: "one" }));
    const [firstRow] = await rows();
    await clock.advance(1_000);
    const secondConnection = await register("device-1", { instance: "two" });
    const secondRow = (await rows()).find((id) => id !== firstRow);
    expect(await shown()).toBe(firstRow);
    const second = await open(secondConnection);
    expect(await shown()).toBe(secondRow);
    await clock.advance(1_000);
    first.say({ type: "ping" });
    expect(await shown()).toBe(firstRow);
    first.listener.onClose(1006);
    expect(await shown()).toBe(secondRow);
    await clock.advance(1_000);
    second.say({ type: "ping" });
    second.listener.onClose(1006);
    await clock.advance(0);
    expect(await shown()).toBe(secondRow);
  });
});

describe("rules for every request", () => {
  test("a request without the operation's scope is 403 naming the scope", async () => {
    const { call } = createHarness();
    const requests = [
      ["list", "GET", "/v1/environments"],
      ["read", "GET", "/v1/environments/device-1"],
      ["send", "POST", "/v1/environments/conn-1/messages"],
      ["connect", "POST", "/v1/environments/register"],
      ["connect", "GET", "/v1/environments/conn-1/socket"],
    ] as const;
    for (const [scope, method, path] of requests) {
      const scopes = new Set(
        (["list", "read", "send", "connect", "admin"] as const).filter((other) => other !== scope),
      );
      const answer = await call(method, path, { principal: { ...anyone, scopes }, body: {} });
      expect(answer).toMatchObject({ status: 403, body: { errorCode: "insufficient_scope" } });
      expect(answer.body["detail"]).toContain(`'${scope}'`);
    }
  });

  test("HEAD returns the response of GET without the body", async () => {
    const { call, server, register } = createHarness();
    await register("device-1");
    const head = await server.handle(
      { method: "HEAD", path: "/v1/environments", query: "", headers: {}, body: null },
      anyone,
      { authority: null },
    );
    const { status, headers } = await call("GET", "/v1/environments");
    expect(head).toEqual({ status, headers, body: null });
  });

  test("an unknown path is 404, a wrong method 405 with Allow, and a malformed id 400", async () => {
    const { call } = createHarness();
    expect(await call("GET", "/v1/environments/")).toMatchObject({ status: 404 });
    expect(await call("DELETE", "/v1/environments")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    expect(await call("GET", "/v1/environments/..%2Fagents")).toMatchObject({
      status: 400,
      body: { errorCode: "invalid_id" },
    });
  });

  test("a request is 500 without the cause when the store fails, and the cause is reported as an event", async () => {
    const { call, events, store } = createHarness();
    const cause = new Error("disk on fire");
    Object.assign(store, { listEnvironments: () => Promise.reject(cause) });
    const answer = await call("GET", "/v1/environments");
    expect(answer).toMatchObject({ status: 500, body: { errorCode: "internal_error" } });
    expect(JSON.stringify(answer)).not.toContain("fire");
    expect(events).toEqual([{ type: "request_failed", operation: "listEnvironments", cause }]);
  });
});
