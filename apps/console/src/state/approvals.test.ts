import { expect, test, vi } from "vitest";

test("requests of two agents are two, also with one id in conversations of one name", async () => {
  // The page around the state.
  vi.stubGlobal("location", { hash: "", href: "http://127.0.0.1:8787/console/" });
  vi.stubGlobal("addEventListener", () => undefined);
  const { keyOf } = await import("./approvals.ts");
  const request = { deviceId: "d", agentId: "agent-1", conversationId: "default", id: "call-1" };
  const others = [
    { ...request, agentId: "agent-2" },
    { ...request, agentId: null },
    { ...request, id: "call-2" },
  ];
  expect(new Set([request, ...others].map(keyOf)).size).toBe(4);
  expect(keyOf({ ...request })).toBe(keyOf(request));
});
