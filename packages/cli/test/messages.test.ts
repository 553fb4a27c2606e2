/** `letta-env messages` and lasting permissions of `letta-env approvals`, as a user runs them: a real gateway, a scripted device. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Fleet, launchFleet } from "./support/launch-fleet.ts";
import { runCli } from "./support/run-cli.ts";

const patiently = { timeout: 50_000 };

let fleet: Fleet;
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  fleet = await launchFleet();
  const scopes = ["list", "read", "view", "send", "approve"] as const;
  env = { ...fleet.gateway.env, LETTA_API_KEY: await fleet.gateway.proxy.createKey({ scopes: [...scopes] }) };
  for (const [id, agent] of [
    ["m-1", "a1"],
    ["m-2", "a2"],
  ] as const) {
    await runCli(["send", "laptop", "--agent", agent, "--message-id", id, "hello"], { env });
  }
  const runtime = { agent_id: "a1", conversation_id: "default" };
  fleet.laptop.send({ type: "turn_finished", turn_id: "t", stop_reason: "end_turn", runtime, ...runtime });
  await vi.waitUntil(async () => {
    const { stdout } = await runCli(["messages", "laptop", "--state", "finished"], { env });
    return stdout.startsWith("m-1\t");
  }, patiently);
});
afterAll(() => fleet.stop());

test("in a pipe, each message is one line of columns, the latest first", async () => {
  const { code, stdout, stderr } = await runCli(["messages", "laptop"], { env });
  expect([code, stderr]).toEqual([0, ""]);
  const lines = stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
  expect(lines.map(([id, state, stopReason]) => [id, state, stopReason])).toEqual([
    ["m-2", "accepted", ""],
    ["m-1", "finished", "end_turn"],
  ]);
  expect(lines[1]?.[3]).toMatch(/^\d+$/);
  expect(lines[1]?.slice(5)).toEqual(["a1", "default", "", ""]);
});

test("--json, --limit, --agent and --state select messages, and the output says whether there are more", async () => {
  const { stdout } = await runCli(["messages", "device-1", "--limit", "1", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ messages: [{ clientMessageId: "m-2" }], hasMore: true });
  const ofAgent = await runCli(["messages", "device-1", "--agent", "a1", "--all", "--json"], { env });
  expect(JSON.parse(ofAgent.stdout)).toMatchObject({ messages: [{ clientMessageId: "m-1" }], hasMore: false });
  const none = await runCli(["messages", "device-1", "--state", "failed", "--state", "evicted"], { env });
  expect([none.code, none.stdout]).toEqual([0, ""]);
});

test("messages of an offline device are listed, and invalid arguments are refused before any request", async () => {
  expect(await runCli(["messages", "asleep"], { env })).toMatchObject({ code: 0, stdout: "", stderr: "" });
  for (const [words, text] of [
    [["--state", "done"], "--state must be one of received, sent"],
    [["--limit", "0"], "--limit must be a whole number from 1"],
    [["--limit", "3", "--all"], "--limit and --all cannot be used together"],
  ] as const) {
    const refused = await runCli(["messages", "laptop", ...words], { env });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(text)]);
  }
});

test("approvals allow --suggestion grants a lasting permission that the request suggests, and no other", async () => {
  const runtime = { agent_id: "a1", conversation_id: "default" };
  const permission_suggestions = [{ id: "save-default", text: "Yes, and do not ask again" }];
  const request = {
    subtype: "can_use_tool",
    tool_name: "Bash",
    input: {},
    tool_call_id: "call-1",
    permission_suggestions,
  };
  fleet.laptop.send({ type: "control_request", request_id: "perm-call-1", request, ...runtime, runtime });
  await vi.waitUntil(async () => (await runCli(["approvals"], { env })).stdout.startsWith("call-1\t"), patiently);
  const other = await runCli(["approvals", "allow", "call-1", "--suggestion", "save-all"], { env });
  expect([other.code, other.stderr]).toEqual([
    2,
    expect.stringContaining(
      "--suggestion must be one that the request suggests:\n  save-default  Yes, and do not ask again",
    ),
  ]);
  const denied = await runCli(["approvals", "deny", "call-1", "--suggestion", "save-default"], { env });
  expect([denied.code, denied.stderr]).toEqual([2, expect.stringContaining("--suggestion needs 'approvals allow'")]);
  const allowed = await runCli(["approvals", "allow", "call-1", "--suggestion", "save-default", "--json"], { env });
  expect(JSON.parse(allowed.stdout)).toEqual({
    ...{ decision: "allowed", id: "call-1", deviceId: "device-1" },
    suggestions: ["save-default"],
  });
  const input = await fleet.laptop.received.waitFor((frame) => JSON.stringify(frame).includes("perm-call-1"));
  expect(JSON.stringify(input)).toContain('"selected_permission_suggestion_ids":["save-default"]');
});
