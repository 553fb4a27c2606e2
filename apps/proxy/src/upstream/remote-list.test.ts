import { type Environment, type EnvironmentList, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { environmentRow } from "../../test/support/environment-row.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf } from "../../test/support/test-proxy.ts";
import type { KeyRequest } from "../keys/key-lifecycle.ts";
import type { UpstreamFetch } from "../ports.ts";
import { maxPages } from "./environments.ts";

const sendBody = JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m" }] });

/** An upstream with these rows, which pages as the API does and takes every send. */
function upstreamWith(rows: readonly Environment[], pageLimit: number = 100): UpstreamFetch {
  return (request) => {
    if (request.method === "POST") return Promise.resolve(jsonResponse(200, { success: true, message: "ok" }));
    if (request.path !== "/v1/environments") {
      const row = rows.find(({ deviceId }) => request.path.endsWith(`/${deviceId}`));
      return Promise.resolve(row === undefined ? jsonResponse(404, {}) : jsonResponse(200, row));
    }
    const query = new URLSearchParams(request.query);
    const limit = Math.min(Number(query.get("limit") ?? 50), pageLimit);
    const rest = rows.slice(rows.findIndex(({ id }) => id === query.get("after")) + 1);
    return Promise.resolve(jsonResponse(200, { connections: rest.slice(0, limit), hasNextPage: rest.length > limit }));
  };
}

function rowsNamed(count: number): Environment[] {
  return Array.from({ length: count }, (_, index) => environmentRow(String(index).padStart(5, "0")));
}

async function list(upstream: UpstreamFetch, deviceIds: readonly string[], query: string = ""): Promise<PlainResponse> {
  const { proxy, issueKey } = createTestProxy(upstream);
  const { key } = await issueKey({ deviceIds });
  return proxy.handle(fakeRequest({ key, query }));
}

function idsOf(response: PlainResponse): unknown {
  const { connections, hasNextPage } = bodyOf(response) as EnvironmentList;
  return [connections.map(({ id }) => id), hasNextPage];
}

test("a list of a user's devices is empty for a key without the scope details, and the upstream is not called", async () => {
  const { proxy, issueKey, upstreamRequests } = createTestProxy(upstreamWith(rowsNamed(3)));
  const listFor = async (request: Partial<KeyRequest>) =>
    proxy.handle(fakeRequest({ key: (await issueKey(request)).key, query: "userId=somebody" }));
  for (const limit of [{}, { deviceIds: ["device-00001"] }]) expect(idsOf(await listFor(limit))).toEqual([[], false]);
  expect(upstreamRequests).toHaveLength(0);
  expect(idsOf(await listFor({ scopes: ["list", "details"] }))).toEqual([["00000", "00001", "00002"], false]);
});

describe("a list for a key with a device allowlist", () => {
  const rows = rowsNamed(250);
  const mine = ["device-00003", "device-00150", "device-00249"];

  test("a restricted list contains only the key's devices, from all pages of the upstream", async () => {
    expect(idsOf(await list(upstreamWith(rows), mine))).toEqual([["00003", "00150", "00249"], false]);
  });

  test("a restricted list has its own page limit, and the next page continues after the last row", async () => {
    expect(idsOf(await list(upstreamWith(rows), mine, "limit=2"))).toEqual([["00003", "00150"], true]);
    expect(idsOf(await list(upstreamWith(rows), mine, "limit=2&after=00150"))).toEqual([["00249"], false]);
    expect(idsOf(await list(upstreamWith(rows), mine, "limit=3"))).toEqual([["00003", "00150", "00249"], false]);
  });

  test("a restricted list is empty if none of the key's devices exists", async () => {
    expect(idsOf(await list(upstreamWith(rows), ["elsewhere"]))).toEqual([[], false]);
  });

  test("a restricted list forwards the caller's other filters on every page", async () => {
    const { proxy, issueKey, upstreamRequests } = createTestProxy(upstreamWith(rows));
    const { key } = await issueKey({ deviceIds: mine });
    await proxy.handle(fakeRequest({ key, query: "onlineOnly=true&limit=7" }));
    expect(upstreamRequests.map(({ query }) => query)).toEqual([
      "onlineOnly=true&limit=100",
      "onlineOnly=true&limit=100&after=00099",
      "onlineOnly=true&limit=100&after=00199",
    ]);
  });

  test("a restricted list reads a bounded number of pages, and a partial result can be continued", async () => {
    const many = upstreamWith(rowsNamed(maxPages + 1), 1);
    expect(idsOf(await list(many, ["device-00007"]))).toEqual([["00007"], true]);
  });

  test("a restricted list of long rows ends early, so that it cannot fill the memory, and can be continued", async () => {
    const mine = ["device-00000", "device-00001", "device-00002"];
    const long = rowsNamed(3).map((row) => ({ ...row, metadata: { os: "x".repeat(6_000_000) } }));
    expect(idsOf(await list(upstreamWith(long, 1), mine))).toEqual([["00000", "00001"], true]);
    expect(idsOf(await list(upstreamWith(long, 1), mine, "after=00001"))).toEqual([["00002"], false]);
  });

  test("devices beyond the pages that a list reads are read one by one, in the order of the list", async () => {
    const far = upstreamWith(rowsNamed(maxPages + 10), 1);
    const mine = ["device-00057", "device-00007", "nothing", "device-00053", "device-00055"];
    expect(idsOf(await list(far, mine))).toEqual([["00007"], true]);
    expect(idsOf(await list(far, mine, "after=00057"))).toEqual([[], false]);
    expect(idsOf(await list(far, mine.slice(2)))).toEqual([["00053", "00055"], false]);
    expect(idsOf(await list(far, mine.slice(2), "limit=1"))).toEqual([["00053"], true]);
    expect(idsOf(await list(far, ["device-00003"], "after=00003"))).toEqual([[], false]);
    expect(idsOf(await list(far, ["elsewhere"]))).toEqual([[], false]);
  });

  test("a restricted list that is too long is an error if it has filters, or if too many devices are allowed", async () => {
    const far = upstreamWith(rowsNamed(maxPages + 10), 1);
    expect(problemOf(await list(far, ["device-00055"], "source=local")).errorCode).toBe("upstream_response_too_large");
    const many = Array.from({ length: 21 }, (_, index) => `elsewhere-${index}`);
    expect(problemOf(await list(far, many)).errorCode).toBe("upstream_response_too_large");
  });

  test("a device that cannot be read makes the list fail, so that no device is silently missing", async () => {
    const far = upstreamWith(rowsNamed(maxPages + 10), 1);
    const failing: UpstreamFetch = (request, signal) =>
      request.path.endsWith("device-00055") ? Promise.resolve(jsonResponse(500, {})) : far(request, signal);
    expect((await list(failing, ["device-00053", "device-00055"])).status).toBe(500);
  });

  test("a restricted list returns an upstream error instead of a partial list", async () => {
    const failing: UpstreamFetch = (request, signal) =>
      request.query.includes("after")
        ? Promise.resolve({ reason: "broken", cause: null })
        : upstreamWith(rows)(request, signal);
    expect(problemOf(await list(failing, mine)).errorCode).toBe("upstream_unreachable");
  });

  test("a restricted list refuses malformed environments", async () => {
    const broken: UpstreamFetch = () =>
      Promise.resolve(jsonResponse(200, { connections: [{ id: 5 }], hasNextPage: false }));
    expect(problemOf(await list(broken, mine)).errorCode).toBe("upstream_invalid_response");
  });
});

describe("a send for a key with a device allowlist", () => {
  const rows = [...rowsNamed(150), environmentRow("zzz", { connectionId: "conn-mine", deviceId: "mine" })];

  async function send(connectionId: string): Promise<{ response: PlainResponse; methods: string[]; headers: unknown }> {
    const { proxy, issueKey, upstreamRequests } = createTestProxy(upstreamWith(rows));
    const { key } = await issueKey({ deviceIds: ["mine"] });
    const path = `/v1/environments/${connectionId}/messages`;
    const headers = { "idempotency-key": "k" };
    const response = await proxy.handle(
      fakeRequest({
        key,
        method: "POST",
        path,
        body: sendBody,
        headers: { ...headers, authorization: `Bearer ${key}` },
      }),
    );
    const methods = upstreamRequests.map(({ method }) => method);
    return { response, methods, headers: upstreamRequests[0]?.headers };
  }

  test("a send is forwarded if its connection belongs to a permitted device", async () => {
    const { response, methods, headers } = await send("conn-mine");
    expect(response.status).toBe(200);
    expect(methods).toEqual(["GET", "POST"]);
    expect(headers).not.toHaveProperty("idempotency-key");
    expect(headers).not.toHaveProperty("content-type");
  });

  test.each(["conn-00001", "conn-unknown"])("a send is not forwarded to %s", async (connectionId) => {
    const { response, methods } = await send(connectionId);
    expect(problemOf(response).errorCode).toBe("connection_not_found");
    expect(methods).not.toContain("POST");
  });

  test("a send whose deadline passes before delivery is safe to repeat", async () => {
    const { proxy, issueKey, clock } = createTestProxy(() => new Promise(() => undefined));
    const { key } = await issueKey({ deviceIds: ["mine"] });
    const pending = proxy.handle(
      fakeRequest({ key, method: "POST", path: "/v1/environments/c/messages", body: sendBody }),
    );
    await clock.advance(30_000);
    expect(problemOf(await pending).errorCode).toBe("upstream_timeout");
  });
});

describe("the requests for permission that wait on a device", () => {
  const waiting = environmentRow("1", { currentMode: "acceptEdits", pendingApprovals: 2 });

  test.each<[string, Partial<KeyRequest>, number | undefined]>([
    ["may decide on all of them", {}, 2],
    ["may do so on its devices", { deviceIds: ["device-1"] }, 2],
    ["may do so in a mode that its maximum allows", { maxMode: "unrestricted" }, 2],
    ["also sees details", { scopes: ["list", "read", "approve", "details"] }, 2],
    ["lacks the scope approve", { scopes: ["list", "read"] }, undefined],
    ["has the scope details but not approve", { scopes: ["list", "read", "details"] }, undefined],
    ["may use some agents only", { agentIds: ["agent-1"] }, undefined],
    ["has a stricter maximum mode", { maxMode: "standard" }, undefined],
  ])(
    "requests for permission are counted only for a key that may decide on them: one that %s",
    async (_which, restriction, count) => {
      const { proxy, issueKey } = createTestProxy(upstreamWith([waiting]));
      const { key } = await issueKey({ scopes: ["list", "read", "approve"], ...restriction });
      const listed = bodyOf(await proxy.handle(fakeRequest({ key }))) as EnvironmentList;
      const row = bodyOf(await proxy.handle(fakeRequest({ key, path: "/v1/environments/device-1" }))) as Environment;
      expect([listed.connections[0]?.pendingApprovals, row.pendingApprovals]).toEqual([count, count]);
    },
  );
});

test.each<[string, Partial<KeyRequest>]>([
  ["read", {}],
  ["requests for permission, whose devices are read", { deviceIds: ["device-1"], scopes: ["list", "approve"] }],
])("the row of another device than the one that was asked for reaches no caller: %s", async (kind, restriction) => {
  const path = kind === "read" ? "/v1/environments/device-1" : "/v1/environments/approvals";
  const waiting = { id: "r", deviceId: "device-1", agentId: "a", conversationId: "c", requestedAt: 1 };
  const { proxy, issueKey } = createTestProxy((request) =>
    Promise.resolve(
      request.path.endsWith("approvals")
        ? jsonResponse(200, { approvals: [waiting], hasNextPage: false, cursor: null })
        : jsonResponse(200, environmentRow("2")),
    ),
  );
  const { key } = await issueKey(restriction);
  const response = await proxy.handle(fakeRequest({ key, path }));
  expect([response.status, problemOf(response).errorCode]).toEqual([502, "upstream_invalid_response"]);
});

test.each<[string, Partial<Environment>, number]>([
  ["deviceId of 257 characters", { deviceId: "d".repeat(257) }, 502],
  ["id of 257 characters", { id: "1".repeat(257) }, 502],
  ["name of 1025 characters", { connectionName: "n".repeat(1_025) }, 502],
  ["connectionId of 257 characters", { connectionId: "c".repeat(257) }, 502],
  [
    "deviceId, an id and a name of any usual length",
    { deviceId: "d".repeat(256), id: "1".repeat(256), connectionName: "n".repeat(1_024) },
    200,
  ],
])("a row with a %s is accepted only where it fits into logs and stores", async (_which, members, status) => {
  const list = { connections: [environmentRow("1", members)], hasNextPage: false };
  const { proxy, issueKey } = createTestProxy(() => Promise.resolve(jsonResponse(200, list)));
  for (const restriction of [{}, { connectionNames: ["*"] }]) {
    const { key } = await issueKey(restriction);
    expect((await proxy.handle(fakeRequest({ key }))).status).toBe(status);
  }
});

test("a page with ten times as many rows as can be asked for is accepted, and a longer one is invalid, for restricted keys and for others", async () => {
  const statuses = async (count: number) => {
    const list = { connections: rowsNamed(count), hasNextPage: false };
    const { proxy, issueKey } = createTestProxy(() => Promise.resolve(jsonResponse(200, list)));
    return Promise.all(
      [{}, { connectionNames: ["*"] }].map(
        async (restriction) => (await proxy.handle(fakeRequest({ key: (await issueKey(restriction)).key }))).status,
      ),
    );
  };
  expect(await statuses(1_000)).toEqual([200, 200]);
  expect(await statuses(1_001)).toEqual([502, 502]);
});
