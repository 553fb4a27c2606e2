import { expect, test } from "vitest";
import { anyone } from "../../test/support/harness.ts";
import { type Audience, audienceOf, mayBeShown, maySee, presentFrame } from "./relay.ts";

const runtime = { agent_id: "agent-1", conversation_id: "c" };
const everything = { principal: { ...anyone, scopes: new Set(["view", "files", "manage"] as const) } };
const unfiltered = { agentId: null, conversationId: null };

function conversation(agentId: string, conversationId: string = "c"): Extract<Audience, { kind: "conversation" }> {
  return { kind: "conversation", runtime: { agentId, conversationId } };
}

test("a conversation frame goes to viewers who may use its agent; the frame itself may name the conversation", () => {
  const expected = conversation("agent-1");
  expect(audienceOf({ type: "stream_delta", runtime, delta: {} })).toEqual(expected);
  expect(audienceOf({ type: "control_request", ...runtime, request_id: "perm-1" })).toEqual(expected);
  expect(audienceOf({ type: "stream_delta", delta: {} })).toBeNull();
});

test("responses go only to the requesting viewer, and acknowledgements of sends to no viewer, because they belong to the server", () => {
  expect(audienceOf({ type: "read_file_response", request_id: "r" })).toEqual({ kind: "asker", requestId: "r" });
  expect(audienceOf({ type: "read_file_response" })).toBeNull();
  const hidden = ["input_accepted", "ping", "external_tool_call_request", "teleport_ready", "unknown"];
  for (const type of hidden) {
    expect(audienceOf({ type, request_id: "r", runtime })).toBeNull();
    expect(mayBeShown(JSON.stringify({ type, runtime }))).toBe(false);
  }
  expect(mayBeShown('{"runtime":{},"type":"stream_delta"}')).toBe(true);
});

test("a viewer sees the agents of its key, narrowed to its own selection", () => {
  const limited = { principal: { ...everything.principal, agentIds: ["agent-1"] } };
  const seen = [conversation("agent-1"), conversation("agent-2"), conversation(""), conversation("agent-1", "d")];
  const sights = [
    { ...everything, ...unfiltered },
    { ...limited, ...unfiltered },
    { ...limited, agentId: "agent-1", conversationId: "d" },
    // What a viewer chooses never widens what its key may see.
    { ...limited, agentId: "agent-2", conversationId: null },
  ];
  expect(sights.map((sight) => seen.map((audience) => maySee(sight, audience)))).toEqual([
    [true, true, true, true],
    [true, false, false, true],
    [false, false, false, true],
    [false, false, false, false],
  ]);
});

test("notices about files and management need their scope", () => {
  const viewer = { principal: { ...anyone, scopes: new Set(["view", "files"] as const) }, ...unfiltered };
  const notices = ["file_changed", "file_ops", "memory_updated", "channels_updated"].map((type) =>
    audienceOf({ type }),
  );
  expect(notices.map((notice) => notice?.kind === "scope" && maySee(viewer, notice))).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test("a key that is limited to agents or modes, or that denies tools, gets no notices about files and management, whatever its scopes", () => {
  const denying = { approvalPolicy: { deniedTools: ["Bash"], deadlineMs: null } };
  const limits = [{ agentIds: ["agent-1"] }, { maxMode: "standard" }, { setMode: "standard" }, denying] as const;
  const notices = [{ kind: "scope", scope: "files" } as const, { kind: "scope", scope: "manage" } as const];
  for (const limit of limits) {
    const viewer = { principal: { ...everything.principal, ...limit }, ...unfiltered };
    expect(notices.map((notice) => maySee(viewer, notice))).toEqual([false, false]);
  }
});

test("a key that is limited to agents does not see the directories of other conversations", () => {
  const status = { current_permission_mode: "standard", cwd_map: { "agent:agent-2": "/secret" } };
  const frame = { type: "update_device_status", runtime, device_status: status };
  expect(presentFrame(frame, { agentIds: null })).toBe(frame);
  expect(presentFrame(frame, { agentIds: ["agent-1"] })).toEqual({
    ...frame,
    device_status: { current_permission_mode: "standard" },
  });
});
