import { jsonResponse, type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createTestPrincipal } from "../../../test/support/create-test-principal.ts";
import { presentApprovals } from "./approvals.ts";

const everybody = createTestPrincipal({ scopes: new Set(["approve"]) });
const rows = [
  { id: "env-1", deviceId: "laptop", connectionName: "laptop", currentMode: "standard" },
  { id: "env-2", deviceId: "server", connectionName: "ci-server", currentMode: "unrestricted" },
];
const list = {
  approvals: [
    { id: "call-1", deviceId: "laptop", agentId: "agent-1", future: 1 },
    { id: "call-2", deviceId: "server", agentId: null },
    { id: "call-3", deviceId: "gone", agentId: "agent-2" },
  ],
  hasNextPage: true,
  cursor: "1.0",
};

/** The ids that a principal is shown, and the devices that were read for it. */
async function shown(
  principal: Principal,
): Promise<{ readonly ids: readonly string[]; readonly reads: readonly string[] }> {
  const reads: string[] = [];
  const response = await presentApprovals(principal, jsonResponse(200, list), async (_, { deviceId = "" }) => {
    reads.push(deviceId);
    const row = rows.find((candidate) => candidate.deviceId === deviceId);
    return row === undefined ? problemResponse("environment_not_found") : jsonResponse(200, row);
  });
  const body: typeof list = JSON.parse(String(response.body));
  expect(body).toMatchObject({ hasNextPage: true, cursor: "1.0" });
  return { ids: body.approvals.map(({ id }) => id), reads };
}

const readNothing = (): Promise<PlainResponse> => Promise.reject(new Error("nothing is read"));

describe("the requests of a remote server", () => {
  test("are all shown to a principal without restrictions, and nothing else is read", async () => {
    const response = jsonResponse(200, list);
    expect(await presentApprovals(everybody, response, readNothing)).toBe(response);
  });

  test.each<[string, Partial<Principal>, string[], number]>([
    ["agents", { agentIds: ["agent-1", "agent-2"] }, ["call-1", "call-3"], 0],
    ["devices", { deviceIds: ["laptop", "gone"] }, ["call-1"], 3],
    ["names", { connectionNames: ["ci-*"] }, ["call-2"], 3],
    ["a maximum mode", { maxMode: "standard" }, ["call-1"], 3],
    ["agents and devices", { agentIds: ["agent-2"], deviceIds: ["laptop"] }, [], 1],
  ])("are only those that a principal restricted to %s can reach", async (_, restriction, ids, reads) => {
    const seen = await shown({ ...everybody, ...restriction });
    expect([seen.ids, seen.reads.length]).toEqual([ids, reads]);
  });

  test("that are not a list are never passed on to a restricted principal", async () => {
    const restricted = { ...everybody, deviceIds: ["laptop"] };
    for (const body of [{}, { approvals: [{ id: "call-1" }] }, { approvals: "x" }]) {
      const response = await presentApprovals(restricted, jsonResponse(200, body), readNothing);
      expect(response.status).toBe(502);
    }
  });

  test("of a server without them are 404 endpoint_not_found, and other failures are passed on", async () => {
    const missing = await presentApprovals(everybody, problemResponse("environment_not_found"), readNothing);
    expect(JSON.parse(String(missing.body))).toMatchObject({ status: 404, errorCode: "endpoint_not_found" });
    const failed = problemResponse("storage_unavailable");
    expect(await presentApprovals(everybody, failed, readNothing)).toBe(failed);
  });
});
