import { beforeEach, expect, test, vi } from "vitest";

beforeEach(() => {
  // The page around the state.
  vi.stubGlobal("location", { hash: "", href: "http://127.0.0.1:8787/console/" });
  vi.stubGlobal("addEventListener", () => undefined);
});

const request = { deviceId: "d", agentId: "agent-1", conversationId: "default", id: "call-1" };

test("requests of two agents are two, also with one id in conversations of one name", async () => {
  const { keyOf } = await import("./approvals.ts");
  const others = [
    { ...request, agentId: "agent-2" },
    { ...request, agentId: null },
    { ...request, id: "call-2" },
  ];
  expect(new Set([request, ...others].map(keyOf)).size).toBe(4);
  expect(keyOf({ ...request })).toBe(keyOf(request));
});

test("a request that is reported again, with its message, keeps its place and is no new one", async () => {
  const { withRequest } = await import("./approvals.ts");
  const first = {
    ...request,
    connectionId: "c",
    tool: "Bash",
    input: {},
    inputTruncated: false,
    reason: null,
    suggestions: [],
    clientMessageId: null,
    requestedAt: 1,
    expiresAt: null,
    ageMs: 0,
  };
  const second = { ...first, id: "call-2" };
  const known = withRequest(withRequest([], first), second);
  const again = { ...first, clientMessageId: "m-1" };
  expect(known).toEqual([first, second]);
  expect(withRequest(known, again)).toEqual([again, second]);
});
