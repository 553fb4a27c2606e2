/** `letta-env send --follow` in a pipe: a separate process, a real gateway, a scripted device. */
import { connectScriptedDevice, type ScriptedDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reply, rowOf, serve } from "./support/fake-server.ts";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { runCli, type StartedCli, startCli } from "./support/run-cli.ts";

let gateway: Gateway;
let laptop: ScriptedDevice;
let env: Readonly<Record<string, string>>;
let sequence = 0;

beforeAll(async () => {
  gateway = await launchGateway();
  const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
  laptop = await connectScriptedDevice({ ...options, deviceId: "device-1", connectionName: "laptop" });
  const apiKey = await gateway.proxy.createKey({ scopes: ["list", "read", "send", "view"] });
  env = { ...gateway.env, LETTA_API_KEY: apiKey };
});
afterAll(async () => {
  await laptop?.terminate();
  await gateway?.proxy.stop();
});

const runtime = { agent_id: "a1", conversation_id: "default" };

/** Sends an event of the conversation. */
function report(type: string, members: object): void {
  sequence += 1;
  laptop.send({ type, runtime, event_seq: sequence, idempotency_key: `${type}:${sequence}`, ...members });
}

const say = (text: string, id = "message-1"): void =>
  report("stream_delta", { delta: { message_type: "assistant_message", id, content: [{ type: "text", text }] } });

/** Starts the program, and resolves when the device has its message. */
async function follow(messageId: string, more: readonly string[] = []): Promise<StartedCli> {
  const words = ["send", "laptop", "--agent", "a1", "--message-id", messageId, "--follow", ...more, "hello"];
  const cli = startCli(words, { env });
  await laptop.received.waitFor((frame) => frame.type === "input" && JSON.stringify(frame).includes(messageId));
  run(messageId);
  return cli;
}

function run(messageId: string): void {
  report("update_loop_status", {
    loop_status: {
      status: "PROCESSING_API_RESPONSE",
      active_run_ids: [`run-${messageId}`],
      client_message_ids_by_run_id: { [`run-${messageId}`]: [messageId] },
    },
  });
}

function finish(messageId: string, members: object = { stop_reason: "end_turn" }): void {
  report("turn_finished", { turn_id: `turn-${messageId}`, run_id: `run-${messageId}`, ...members });
}

test("text is printed as it arrives, tool calls and errors on standard error, and no output controls the terminal", async () => {
  const cli = await follow("follow-1");
  say("The tests");
  await cli.printed("The tests");
  say(" pass\u001b[2J.\r\nAll\tof them.");
  const call = { tool_call_id: "t-1", tool_name: "Bash\n", tool_args: '{"command":"npm test\\u001b[1A"}' };
  report("stream_delta", { delta: { message_type: "client_tool_start", ...call } });
  report("stream_delta", { delta: { message_type: "client_tool_end", tool_call_id: "t-1", status: "error" } });
  say("Done.", "message-2");
  finish("follow-1");
  expect(await cli.result).toEqual({
    code: 0,
    stdout: "The tests pass\\u001b[2J.\nAll\tof them.\nDone.\n",
    stderr: "> Bash\\u000a: npm test\\u001b[1A\n> Bash\\u000a failed\n",
  });
});

test("a turn that fails ends with 8 and its error, one that is stopped with 9", async () => {
  const failing = await follow("follow-2");
  finish("follow-2", { stop_reason: "error", error: "no model\u001b[2J" });
  expect(await failing.result).toMatchObject({
    code: 8,
    stdout: "",
    stderr: expect.stringMatching(/^letta-env: the turn failed: no model\P{Cc}*\n$/u),
  });
  const stopped = await follow("follow-3");
  finish("follow-3", { stop_reason: "cancelled" });
  expect(await stopped.result).toMatchObject({ code: 9, stderr: expect.stringContaining("the turn was stopped") });
});

test("--json prints one document per line: the send, the states, the output and the end", async () => {
  const cli = await follow("follow-4", ["--json"]);
  say("pong");
  finish("follow-4");
  const { code, stdout, stderr } = await cli.result;
  expect([code, stderr]).toEqual([0, ""]);
  const documents = stdout
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));
  expect(documents[0]).toMatchObject({ type: "sent", outcome: "started", messageId: "follow-4", deviceId: "device-1" });
  expect(documents.filter(({ type }) => type === "output")).toMatchObject([{ delta: { id: "message-1" } }]);
  expect(documents.filter(({ type }) => type === "message").at(-1)).toMatchObject({ message: { state: "finished" } });
  expect(documents.at(-1)).toMatchObject({ type: "end", outcome: "finished", status: { stopReason: "end_turn" } });
});

test("the output of another conversation, and of an earlier turn, is left out", async () => {
  say("earlier");
  const cli = await follow("follow-5");
  const other = { agent_id: "a1", conversation_id: "other" };
  const delta = { message_type: "assistant_message", id: "x", content: "other" };
  report("stream_delta", { delta, runtime: other });
  say("mine");
  finish("follow-5");
  expect(await cli.result).toMatchObject({ code: 0, stdout: "mine\n" });
});

test("a message that has already ended is followed from its status", async () => {
  const words = ["send", "laptop", "--agent", "a1", "--message-id", "follow-5", "--follow", "hello"];
  expect(await runCli(words, { env })).toMatchObject({ code: 0, stdout: "mine\n" });
});

test("following ends with 130 on Ctrl-C without a terminal, and says that the turn continues", async () => {
  const cli = await follow("follow-6");
  say("so far");
  await cli.printed("so far");
  cli.signal("SIGINT");
  expect(await cli.result).toEqual({
    code: 130,
    stdout: "so far\n",
    stderr:
      "letta-env: stopped following; the turn on laptop goes on\nRepeat the same command with --message-id follow-6 to follow it again.\n",
  });
  finish("follow-6");
});

test.each([
  ["view", ["list", "read", "send"]],
  ["read", ["list", "view", "send"]],
  ["send", ["list", "view", "read"]],
] as const)("a key without the scope %s is refused with its name, before anything is sent", async (scope, scopes) => {
  const before = laptop.received.frames.length;
  const LETTA_API_KEY = await gateway.proxy.createKey({ scopes });
  const words = ["send", "laptop", "--agent", "a1", "--follow", "hello"];
  const { code, stdout, stderr } = await runCli(words, { env: { ...env, LETTA_API_KEY } });
  expect([code, stdout]).toEqual([4, ""]);
  expect(stderr).toContain(`lacks the scope '${scope}'`);
  expect(laptop.received.frames.slice(before).filter(({ type }) => type === "input")).toEqual([]);
});

test("nothing is sent to a server without events, and the error says what is missing", async () => {
  const { env: other, posts } = await serve(({ target }, response) =>
    target.endsWith("/d1") ? reply(response, 200, rowOf("c1")) : reply(response, 404, { message: "Not Found" }),
  );
  const follows = await runCli(["send", "d1", "--agent", "a1", "--follow", "hello"], { env: other });
  const approvals = await runCli(["approvals"], { env: other });
  expect([follows.code, follows.stderr]).toEqual([1, expect.stringContaining("does not offer streamEvents")]);
  expect([approvals.code, approvals.stderr]).toEqual([1, expect.stringContaining("does not offer listApprovals")]);
  expect(posts()).toEqual([]);
});

test("--follow with --connection, and wrong words of approvals, are refused before any request", async () => {
  const words = ["send", "--connection", "c1", "--agent", "a1", "--follow", "hello"];
  const local = { LETTA_BASE_URL: "http://127.0.0.1:9", LETTA_API_KEY: "k" };
  const noTime =
    "--requested-at must be the time of a request as 'letta-env approvals' prints it, such as 2027-01-31T18:00:00.000Z";
  for (const [line, text] of [
    [words, "--follow needs DEVICE instead of --connection"],
    [["approvals", "allow"], "'approvals allow' needs ID"],
    [["approvals", "list", "x"], "'approvals list' takes no ID"],
    [["approvals", "--requested-at", "1"], "--requested-at needs 'approvals allow' or 'approvals deny'"],
    [["approvals", "deny", "x", "--requested-at", "12s"], noTime],
    [["approvals", "deny", "x", "--requested-at", "2026-11-24"], noTime],
    [["approvals", "refuse"], "ACTION must be list, allow or deny"],
  ] as const)
    expect(await runCli(line, { env: local })).toEqual({ code: 2, stdout: "", stderr: `letta-env: ${text}\n` });
});

test("following a message whose turn the device no longer reports begins the minute after which it gives up", async () => {
  const connect = () =>
    connectScriptedDevice({
      ...{ baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey, deviceId: "device-2", connectionName: "killed" },
    });
  const words = ["send", "killed", "--agent", "a1", "--message-id", "lost-1"];
  const killed = await connect();
  expect((await runCli([...words, "hello"], { env })).code).toBe(0);
  await killed.terminate();
  const again = await connect();
  const cli = startCli([...words, "--follow", "hello"], { env });
  await cli.printed("killed does not report the turn; waiting", "stderr");
  cli.signal("SIGTERM");
  await cli.result;
  await again.terminate();
});

test("a closed pipe ends following with 0, while the turn continues", async () => {
  const cli = await follow("follow-head");
  say("The first part, ");
  await cli.printed("The first part, ");
  cli.closeOutput();
  say("and the second.", "message-1");
  expect((await cli.result).code).toBe(0);
  finish("follow-head");
});
