import { type Principal, problemResponse, type Scope } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { anyone } from "../../test/support/harness.ts";
import { refusalOf } from "./api-calls.ts";
import { checkFrame, type FrameDecision } from "./check.ts";
import { parseViewerFrame } from "./frame.ts";
import { viewerFrameTypes } from "./scopes.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const everyScope: readonly Scope[] = ["view", "send", "approve", "control", "files", "terminal", "manage"];

function withScopes(scopes: readonly Scope[], rest: Partial<Principal> = {}): Principal {
  return { ...anyone, scopes: new Set(scopes), ...rest };
}

function check(frame: object, principal: Principal = withScopes(everyScope)): FrameDecision {
  const parsed = parseViewerFrame(JSON.stringify(frame));
  if (parsed.kind === "malformed") throw new Error(parsed.refusal.message);
  return checkFrame(parsed.frame, principal, () => "new-id");
}

function refusalCode(decision: FrameDecision): string {
  return decision.kind === "refused" ? `${decision.refusal.code} ${decision.refusal.scope ?? "-"}` : decision.kind;
}

describe("parseViewerFrame", () => {
  test.each([
    ["not JSON", "must be JSON"],
    ["[]", "must be an object"],
    ['{"request_id":"r"}', "must have a type"],
    ['{"type":"Input Frame"}', "must have a type"],
    [`{"type":"sync","request_id":""}`, "must have no request_id, or one of 1 to 256 characters"],
    ["[".repeat(65), "must have at most 64 levels of nesting"],
    ['{"a":'.repeat(65), "must have at most 64 levels of nesting"],
    [`{"type":"ping","x":[${"{},".repeat(25_000)}1]}`, "must have at most 50,000 values"],
  ])("parseViewerFrame refuses %.60s", (text, rule) => {
    const parsed = parseViewerFrame(text);
    expect(parsed.kind === "malformed" && parsed.refusal.message).toContain(rule);
  });
});

const policy = (...deniedTools: readonly string[]) => ({ approvalPolicy: { deniedTools, deadlineMs: null } });
const limits = [{ agentIds: ["agent-1"] }, { maxMode: "standard" }, { setMode: "standard" }, policy("Bash")] as const;

describe("scopes", () => {
  const every = Object.entries(viewerFrameTypes).flatMap(([scope, types]) => types.map((type) => ({ scope, type })));

  test("each frame type needs exactly its scope, and the refusal names it", () => {
    for (const { scope, type } of every) {
      const others = everyScope.filter((other) => other !== scope);
      expect(refusalCode(check({ type, runtime }, withScopes(others)))).toBe(`insufficient_scope ${scope}`);
    }
  });

  test("a frame type that is not listed is refused for a key with every scope", () => {
    const refused = ["teleport_request", "runtime_external_tools_update", "pong_", "message", "listener_ready"];
    for (const type of refused) expect(refusalCode(check({ type, runtime }))).toBe("unknown_frame_type -");
  });

  test("files, terminals and management are refused to a key that is limited to agents or modes, or that denies tools", () => {
    for (const { scope, type } of every) {
      if (!["files", "terminal", "manage"].includes(scope)) continue;
      for (const limit of limits) {
        const decision = check({ type, runtime, terminal_id: "t" }, withScopes(everyScope, limit));
        expect(refusalCode(decision)).toBe(`insufficient_scope ${scope}`);
      }
    }
  });

  test("members of runtime_start that manage a device are refused to a key that is limited to agents or modes, or that denies tools", () => {
    const known = { type: "runtime_start", agent_id: "agent-1", conversation_id: "default" };
    const frames = [
      { type: "runtime_start", create_agent: { body: { system: "x" } } },
      { ...known, execution_settings: { permission_mode: "unrestricted" } },
      { ...known, skill_sources: ["/x"] },
      { ...known, workspace_sandbox: { enabled: false } },
      { type: "runtime_start", agent_id: "agent-1", create_conversation: { body: { model: "m" } } },
    ];
    for (const limit of limits) {
      const results = frames.map((frame) => refusalCode(check(frame, withScopes(everyScope, limit))));
      expect(results).toEqual(frames.map(() => "insufficient_scope manage"));
    }
    expect(frames.map((frame) => check(frame).kind)).toEqual(frames.map(() => "command"));
  });

  test("a decision needs the scope approve and not send, and a message needs send and not approve", () => {
    const decision = { kind: "approval_response", request_id: "perm-1", decision: { behavior: "allow" } };
    const message = { kind: "create_message", messages: [] };
    const results = [decision, message].map((payload) =>
      (["approve", "send"] as const).map((scope) =>
        refusalCode(check({ type: "input", runtime, payload }, withScopes([scope]))),
      ),
    );
    expect(results).toEqual([
      ["calls", "insufficient_scope approve"],
      ["insufficient_scope send", "calls"],
    ]);
  });
});

describe("calls of the API", () => {
  test("a message becomes a send with an id, and an existing id is kept", () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "user", content: "b", client_message_id: "m" },
    ];
    const payload = { kind: "create_message", messages };
    expect(check({ type: "input", request_id: "r", runtime: { ...runtime, acting_user_id: "eve" }, payload })).toEqual({
      kind: "calls",
      scope: "send",
      runtime: { agentId: "agent-1", conversationId: "default" },
      calls: [
        {
          operation: "sendMessage",
          itemId: null,
          query: {},
          body: {
            agentId: "agent-1",
            conversationId: "default",
            messages: [{ role: "user", content: "a", client_message_id: "new-id" }, messages[1]],
          },
        },
      ],
    });
  });

  test("a turn option that the API does not have is refused, because it could loosen the key's restrictions", () => {
    const payload = { kind: "create_message", messages: [], client_tool_allowlist: ["Bash"] };
    expect(refusalCode(check({ type: "input", runtime, payload }))).toBe("invalid_frame -");
  });

  test.each([
    [
      { decision: { behavior: "allow", updated_input: { a: 1 }, message: "ok" } },
      { approve: true, reason: "ok", updated_input: { a: 1 } },
    ],
    [
      { decision: { behavior: "allow", selected_permission_suggestion_ids: ["always"] } },
      { approve: true, selected_permission_suggestion_ids: ["always"] },
    ],
    [{ decision: { behavior: "deny", message: "no" } }, { approve: false, reason: "no" }],
    [{ error: "gone" }, { approve: false, reason: "gone" }],
  ])("the decision %j becomes the approval %j", (body, approval) => {
    const payload = { kind: "approval_response", request_id: "perm-call-1", ...body };
    const decision = check({ type: "input", runtime, payload });
    expect(decision.kind === "calls" && decision.calls[0]?.body?.["messages"]).toEqual([
      { type: "approval", approvals: [{ type: "approval", tool_call_id: "call-1", ...approval }] },
    ]);
  });

  test("a control request of another kind cannot be answered", () => {
    const payloads = [
      { kind: "approval_response", request_id: "other-1", decision: { behavior: "allow" } },
      { kind: "teleport_continue", teleport_id: "t" },
    ];
    for (const payload of payloads)
      expect(refusalCode(check({ type: "input", runtime, payload }))).toBe("invalid_frame -");
  });

  test("mode and directory are changed in this order, and only for the conversation that the frame names", () => {
    const change = (payload: object) => check({ type: "change_device_state", runtime, payload });
    const decision = change({ mode: "standard", cwd: "/code" });
    const operations = decision.kind === "calls" ? decision.calls.map(({ operation, body }) => [operation, body]) : [];
    const conversation = { agentId: "agent-1", conversationId: "default" };
    expect(operations).toEqual([
      ["changeMode", { ...conversation, mode: "standard" }],
      ["changeDirectory", { ...conversation, directory: "/code" }],
    ]);
    expect(refusalCode(change({ mode: "standard", agent_id: "agent-2" }))).toBe("invalid_frame -");
    expect(refusalCode(change({ mode: "standard", conversation_id: "other" }))).toBe("invalid_frame -");
    expect(refusalCode(change({}))).toBe("invalid_frame -");
  });

  test("every frame of a conversation is refused for an agent that the key may not use", () => {
    const principal = withScopes(everyScope, { agentIds: ["agent-2"] });
    const payload = { kind: "create_message", messages: [], mode: "standard" };
    for (const type of ["input", "sync", "abort_message", "change_device_state", "resume_queue", "remove_queue_item"]) {
      expect(refusalCode(check({ type, runtime, payload, item_id: "q" }, principal))).toBe("agent_not_allowed -");
      const without = { agent_id: null, conversation_id: "conv-1" };
      expect(refusalCode(check({ type, runtime: without, payload, item_id: "q" }, principal))).toBe(
        "agent_not_allowed -",
      );
    }
  });
});

test("the broken rule is stated once, even if the problem's detail repeats it", () => {
  const issues = [{ member: "content", rule: "must not be empty" }];
  const messages = [{}, { detail: "content must not be empty" }].map(
    (options) => refusalOf(problemResponse("invalid_request", { issues, ...options })).message,
  );
  for (const message of messages) expect(message.split("must not be empty")).toHaveLength(2);
});

describe("runtime_start", () => {
  const start = (members: object, principal?: Principal) => check({ type: "runtime_start", ...members }, principal);

  test("runtime_start opens a known conversation with the scope send, and recovers nothing by default", () => {
    const decision = start({ request_id: "r", agent_id: "agent-1", conversation_id: "c" }, withScopes(["send"]));
    expect(decision.kind === "command" && decision.command.members).toEqual({
      type: "runtime_start",
      agent_id: "agent-1",
      conversation_id: "c",
      recover_approvals: false,
    });
  });

  test.each([
    [{ mode: "standard" }, "control"],
    [{ cwd: "/code" }, "control"],
    [{ create_conversation: {} }, "control"],
    [{ create_conversation: { body: { system: "x" } } }, "manage"],
    [{ create_agent: { body: {} } }, "manage"],
    [{ execution_settings: {} }, "manage"],
  ])("runtime_start with %j also needs the scope %s", (members, scope) => {
    const others = everyScope.filter((other) => other !== scope);
    expect(refusalCode(start(members, withScopes(others)))).toBe(`insufficient_scope ${scope}`);
    expect(refusalCode(start(members))).toBe("command");
  });

  test("an unknown member of runtime_start is refused, such as tools of the caller", () => {
    expect(refusalCode(start({ external_tools: [{ name: "t" }] }))).toBe("invalid_frame -");
    expect(refusalCode(start({ agent_id: "a", teleport_id: "t" }))).toBe("invalid_frame -");
  });

  test.each([
    [{ client_info: {} }],
    [{ client_info: { name: "app", version: 1 } }],
    [{ force_device_status: "x" }],
    [{ wait_for_replay: 1 }],
    [{ preserve_skill_sources: "x" }],
  ])("runtime_start with %j is refused, because a device would ignore it without a response", (members) => {
    expect(refusalCode(start({ agent_id: "a", conversation_id: "c", mode: "standard", ...members }))).toBe(
      "invalid_frame -",
    );
  });

  test("an empty list of the caller's tools is accepted in runtime_start, and unchanged skills need no further scope", () => {
    const frame = { agent_id: "agent-1", conversation_id: "c", external_tools: [], preserve_skill_sources: true };
    const decision = start(frame, withScopes(["send"]));
    expect(decision.kind === "command" && decision.command.members).toEqual({
      type: "runtime_start",
      agent_id: "agent-1",
      conversation_id: "c",
      preserve_skill_sources: true,
      recover_approvals: false,
    });
    expect(refusalCode(start({ ...frame, preserve_skill_sources: false }, withScopes(["send"])))).toBe(
      "insufficient_scope manage",
    );
  });

  test("runtime_start respects the key's maximum mode, denied tools and list of agents", () => {
    const limited = withScopes(["send", "control"], { maxMode: "acceptEdits", agentIds: ["agent-1"] });
    const modes = ["standard", "acceptEdits", "unrestricted", "strict"].map((mode) =>
      refusalCode(start({ agent_id: "agent-1", mode }, limited)),
    );
    // A mode of unknown rank is not within a ceiling.
    expect(modes).toEqual(["command", "command", "mode_not_allowed -", "mode_not_allowed -"]);
    const setting = withScopes(["send", "control"], { setMode: "standard" });
    const freer = ["standard", "acceptEdits", "unrestricted"].map((mode) =>
      refusalCode(start({ agent_id: "agent-1", mode }, setting)),
    );
    expect(freer).toEqual(["command", "mode_not_allowed -", "mode_not_allowed -"]);
    const denying = withScopes(["send", "control"], policy("Bash"));
    const undoing = ["standard", "acceptEdits", "unrestricted"].map((mode) =>
      refusalCode(start({ agent_id: "agent-1", mode }, denying)),
    );
    expect(undoing).toEqual(["command", "command", "mode_not_allowed -"]);
    expect(refusalCode(start({ agent_id: "agent-2" }, limited))).toBe("agent_not_allowed -");
    expect(refusalCode(start({ conversation_id: "c" }, limited))).toBe("agent_not_allowed -");
    expect(refusalCode(start({ agent_id: "agent-1", create_agent: {} }, limited))).toBe("insufficient_scope manage");
  });
});

test("the caller's acting_user_id never reaches the device", () => {
  const decision = check({
    type: "update_model",
    acting_user_id: "eve",
    runtime: { ...runtime, acting_user_id: "eve" },
  });
  expect(decision.kind === "command" && decision.command.members).toEqual({ type: "update_model", runtime });
});

test("sync is rebuilt from its known members, and recovers approvals only with the scope control", () => {
  const frame = { type: "sync", runtime, recover_approvals: true, resume_interrupted_turn: true };
  const members = [everyScope, ["view"] as const].map((scopes) => {
    const decision = check(frame, withScopes(scopes));
    return decision.kind === "command" ? decision.command.members : null;
  });
  const expected = { type: "sync", runtime, force_device_status: false };
  expect(members).toEqual([
    { ...expected, recover_approvals: true },
    { ...expected, recover_approvals: false },
  ]);
});
