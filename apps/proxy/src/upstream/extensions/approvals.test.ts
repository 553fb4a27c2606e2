import { sha256Hex } from "@letta-environments/platform/node";
import {
  type ApprovalList,
  jsonResponse,
  type ListApprovalsQuery,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createTestPrincipal } from "../../../test/support/create-test-principal.ts";
import type { ReadRemote } from "../remote-call.ts";
import { listRemoteApprovals, presentApprovals, reachesAllApprovals } from "./approvals.ts";

const everybody = createTestPrincipal({ scopes: new Set(["approve"]) });
const rows = [
  { id: "env-1", deviceId: "laptop", connectionName: "laptop", currentMode: "standard" },
  { id: "env-2", deviceId: "server", connectionName: "ci-server", currentMode: "unrestricted" },
];

function approval(id: string, deviceId: string, agentId: string | null, requestedAt: number) {
  return { id, deviceId, agentId, conversationId: "default", requestedAt, future: 1 };
}

const pending = [
  approval("call-1", "laptop", "agent-1", 1),
  approval("call-2", "server", null, 2),
  approval("call-3", "gone", "agent-2", 3),
];

/** A server whose pages have a number of requests, and cursors that name the last one. */
function createServer(all: readonly object[], pageSize = 100) {
  const reads: string[] = [];
  const read: ReadRemote = async (endpoint, { deviceId = "" }, query) => {
    if (endpoint.operation === "listApprovals") {
      const parameters = new URLSearchParams(query);
      const start = Number(parameters.get("after") ?? 0);
      const end = start + Math.min(pageSize, Number(parameters.get("limit")));
      const cursor = String(Math.min(end, all.length));
      return jsonResponse(200, { approvals: all.slice(start, end), hasNextPage: end < all.length, cursor });
    }
    reads.push(deviceId);
    const row = rows.find((candidate) => candidate.deviceId === deviceId);
    return row === undefined ? problemResponse("environment_not_found") : jsonResponse(200, row);
  };
  return { read, reads };
}

async function list(principal: Principal, read: ReadRemote, query: ListApprovalsQuery = {}): Promise<ApprovalList> {
  const response = await listRemoteApprovals(principal, query, read, sha256Hex);
  expect(response.status).toBe(200);
  return JSON.parse(String(response.body));
}

/** The ids of every page. */
async function readAll(principal: Principal, read: ReadRemote, limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after: string | undefined; ;) {
    const page = await list(principal, read, { limit, ...(after !== undefined && { after }) });
    pages.push(page.approvals.map(({ id }) => id));
    if (!page.hasNextPage) return pages;
    after = page.cursor ?? "";
  }
}

describe("requests for permission of a remote server", () => {
  test("all requests are shown to a principal without restrictions, as the server lists them", () => {
    const response = jsonResponse(200, { approvals: pending, hasNextPage: true, cursor: "1.0" });
    expect([reachesAllApprovals(everybody), presentApprovals(response)]).toEqual([true, response]);
  });

  test.each<[string, Partial<Principal>, string[], number]>([
    ["agents", { agentIds: ["agent-1", "agent-2"] }, ["call-1", "call-3"], 0],
    ["devices", { deviceIds: ["laptop", "gone"] }, ["call-1"], 2],
    ["names", { connectionNames: ["ci-*"] }, ["call-2"], 3],
    ["a maximum mode", { maxMode: "standard" }, ["call-1"], 3],
    ["agents and devices", { agentIds: ["agent-2"], deviceIds: ["laptop"] }, [], 0],
  ])(
    "a principal restricted to %s sees only the requests that it can access",
    async (_, restriction, ids, readCount) => {
      const { read, reads } = createServer(pending);
      const principal = { ...everybody, ...restriction };
      const { approvals, hasNextPage } = await list(principal, read);
      expect([reachesAllApprovals(principal), hasNextPage]).toEqual([false, false]);
      expect([approvals.map(({ id }) => id), reads.length]).toEqual([ids, readCount]);
      expect(approvals.every((shown) => "future" in shown)).toBe(true);
    },
  );

  test("requests that a principal cannot access affect neither its pages nor its cursors", async () => {
    const own = Array.from({ length: 5 }, (_, index) => approval(`own-${index}`, "laptop", "agent-1", 10 * index));
    const others = Array.from({ length: 23 }, (_, index) => approval(`other-${index}`, "laptop", "agent-2", 2 * index));
    const mixed = [...own, ...others].toSorted((left, right) => left.requestedAt - right.requestedAt);
    const principal = { ...everybody, agentIds: ["agent-1"] };
    for (const query of [{ limit: 2 }, { limit: 5 }, {}]) {
      const alone = await list(principal, createServer(own).read, query);
      expect(await list(principal, createServer(mixed, 3).read, query)).toEqual(alone);
    }
    expect(await readAll(principal, createServer(mixed, 3).read, 2)).toEqual([
      ["own-0", "own-1"],
      ["own-2", "own-3"],
      ["own-4"],
    ]);
    expect(await list(principal, createServer(others, 3).read)).toEqual({
      approvals: [],
      hasNextPage: false,
      cursor: null,
    });
  });

  test("requests with equal times each appear on exactly one page", async () => {
    const all = Array.from({ length: 9 }, (_, index) => approval(`call-${index}`, "laptop", "agent-1", 7));
    for (const [limit, pageSize] of [
      [2, 3],
      [3, 2],
      [1, 1],
    ] as const) {
      const pages = await readAll({ ...everybody, agentIds: ["agent-1"] }, createServer(all, pageSize).read, limit);
      expect(pages.flat().toSorted()).toEqual(all.map(({ id }) => id));
    }
  });

  test("responses that are not lists of requests are never passed on to a restricted principal", async () => {
    const restricted = { ...everybody, deviceIds: ["laptop"] };
    const endless = { approvals: [], hasNextPage: true, cursor: "1" };
    for (const body of [{}, { approvals: [{ id: "call-1" }] }, { approvals: "x" }, endless]) {
      const response = await listRemoteApprovals(restricted, {}, async () => jsonResponse(200, body), sha256Hex);
      expect(response.status).toBe(502);
    }
  });

  test("long requests cannot fill the memory: a page keeps the first ones only, and is refused if they are too long together", async () => {
    const restricted = { ...everybody, agentIds: ["agent-1"] };
    const long = Array.from({ length: 40 }, (_, index) => ({
      ...approval(`call-${index}`, "laptop", "agent-1", index),
      input: "x".repeat(500_000),
    }));
    const { read } = createServer(long, 4);
    const refused = await listRemoteApprovals(restricted, {}, read, sha256Hex);
    expect(JSON.parse(String(refused.body)).errorCode).toBe("upstream_response_too_large");
    // The server sends its latest requests first, so every page is read.
    const { read: backwards } = createServer(long.toReversed(), 4);
    const { approvals, hasNextPage } = await list(restricted, backwards, { limit: 2 });
    expect([approvals.map(({ id }) => id), hasNextPage]).toEqual([["call-0", "call-1"], true]);
  });

  test("a cursor that no page has returned is 400", async () => {
    const { read } = createServer(pending);
    const response = await listRemoteApprovals({ ...everybody, agentIds: [] }, { after: "1.x" }, read, sha256Hex);
    expect(response.status).toBe(400);
  });

  test("a server's failure to list requests is passed on to every principal", async () => {
    const failed = problemResponse("storage_unavailable");
    const restricted = await listRemoteApprovals(
      { ...everybody, agentIds: ["agent-1"] },
      {},
      async () => failed,
      sha256Hex,
    );
    expect([presentApprovals(failed), restricted]).toEqual([failed, failed]);
  });
});
