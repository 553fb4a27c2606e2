/** Lasting permissions that a device suggests, in `letta-env send --follow`: a separate process, a real gateway, a scripted device. */
import { connectScriptedDevice, type ScriptedDevice } from "@letta-environments/testkit";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { runCli, startCli } from "./support/run-cli.ts";
import { canOpenTerminal, runInTerminal } from "./support/run-in-terminal.ts";

let gateway: Gateway;
let laptop: ScriptedDevice;
let env: Readonly<Record<string, string>>;

beforeAll(async () => {
  gateway = await launchGateway();
  const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
  laptop = await connectScriptedDevice({ ...options, deviceId: "device-1", connectionName: "laptop" });
  const apiKey = await gateway.proxy.createKey({ scopes: ["list", "read", "send", "view", "approve"] });
  env = { ...gateway.env, LETTA_API_KEY: apiKey };
});
afterAll(async () => {
  await laptop?.terminate();
  await gateway?.proxy.stop();
});

const runtime = { agent_id: "a1", conversation_id: "default" };

/** Resolves when the device has what contains the text. */
const receives = (text: string) => laptop.received.waitFor((frame) => JSON.stringify(frame).includes(text));

/** The turn of the message runs, and requests a permission; the device suggests two lasting ones. */
async function request(messageId: string): Promise<void> {
  await receives(messageId);
  const loop_status = {
    ...{ status: "PROCESSING_API_RESPONSE", active_run_ids: [`run-${messageId}`] },
    client_message_ids_by_run_id: { [`run-${messageId}`]: [messageId] },
  };
  laptop.send({ type: "update_loop_status", runtime, event_seq: 1, idempotency_key: `loop:${messageId}`, loop_status });
  const permission_suggestions = [
    { id: "save-default", text: "Yes, and do not ask again for npm test" },
    { id: "save-all", text: "Yes, and allow everything" },
  ];
  ask(messageId, { input: { command: "npm test" }, permission_suggestions });
}

function ask(id: string, members: object): void {
  const body = { subtype: "can_use_tool", tool_name: "Bash", ...members };
  const frame = { type: "control_request", request_id: `perm-${id}`, ...runtime, runtime };
  laptop.send({ ...frame, request: { ...body, tool_call_id: `call-${id}` } });
}

function finish(messageId: string): void {
  const end = { turn_id: `turn-${messageId}`, run_id: `run-${messageId}`, stop_reason: "end_turn" };
  laptop.send({ type: "turn_finished", runtime, event_seq: 2, idempotency_key: `end:${messageId}`, ...end });
}

const words = (messageId: string): string[] => [
  "send",
  "laptop",
  "--agent",
  "a1",
  "--message-id",
  messageId,
  "--follow",
  "hello",
];

test("the lines about a request in a pipe name each lasting permission and the command that grants it", async () => {
  const cli = startCli(words("pipe"), { env });
  await request("pipe");
  await vi.waitUntil(async () => (await runCli(["approvals"], { env })).stdout.startsWith("call-pipe\t"), {
    timeout: 30_000,
  });
  expect((await runCli(["approvals", "allow", "call-pipe"], { env })).code).toBe(0);
  finish("pipe");
  const { code, stderr } = await cli.result;
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /^To grant from now on as well: Yes, and do not ask again for npm test\nletta-env approvals allow call-pipe --requested-at \S+Z --suggestion=save-default$/m,
  );
});

test("requests of other messages in the conversation or of other devices do not belong to the turn", async () => {
  const connection = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
  const tower = await connectScriptedDevice({ ...connection, deviceId: "device-2", connectionName: "tower" });
  onTestFinished(() => tower.terminate());
  const asked = { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-tower" };
  tower.send({ type: "control_request", request_id: "perm-tower", runtime, request: asked });
  expect((await runCli(["send", "laptop", "--agent", "a1", "--message-id", "theirs", "hello"], { env })).code).toBe(0);
  await request("theirs");
  const cli = startCli(words("mine"), { env });
  await request("mine");
  await cli.printed("approvals allow call-mine", "stderr");
  expect((await runCli(["approvals"], { env })).stdout).toMatch(/^call-tower\t[^]*^call-theirs\t[^]*^call-mine\t/m);
  finish("mine");
  expect((await cli.result).stderr).not.toMatch(/call-(?:tower|theirs)/);
});

describe.runIf(canOpenTerminal())("permission questions on a terminal", () => {
  test("the question lists lasting permissions, and the number of one allows the tool call and grants it", async () => {
    const run = runInTerminal(words("terminal"), { env, columns: 120 });
    await request("terminal");
    await run.shows(/Allow Bash: npm test\? \[y\/n\/1\/2\]/);
    run.press("3\n");
    await run.shows(/\[y\/n\/1\/2\][^]*\[y\/n\/1\/2\]/);
    run.press("1\n");
    const decision = await receives("perm-terminal");
    expect(JSON.stringify(decision)).toContain('"selected_permission_suggestion_ids":["save-default"]');
    finish("terminal");
    const { code, shown } = await run.result;
    expect(code).toBe(0);
    const text = stripVTControlCharacters(shown);
    expect(text).toContain("1 also grants, from now on: Yes, and do not ask again for npm test\r\n");
    expect(text).toContain("2 also grants, from now on: Yes, and allow everything\r\n");
  });

  test("a refused decision is reported, and the question is asked again", async () => {
    const apiKey = await gateway.proxy.createKey({
      scopes: ["list", "read", "send", "view", "approve"],
      more: ["--agent", "a1"],
    });
    const run = runInTerminal(words("limited"), { env: { ...env, LETTA_API_KEY: apiKey }, columns: 120 });
    await request("limited");
    await run.shows(/Allow Bash: npm test\? \[y\/n\/1\/2\]/);
    run.press("1\n");
    await run.shows(/\[y\/n\/1\/2\][^]*\[y\/n\/1\/2\]/);
    run.press("y\n");
    await receives("perm-limited");
    finish("limited");
    expect((await run.result).code).toBe(0);
  });

  test("keys pressed before a question do not answer it, even if Enter is pressed after it", async () => {
    const run = runInTerminal(words("early"), { env, columns: 120 });
    await receives("early");
    run.press("YES");
    // The terminal has the keys when it shows them.
    await run.shows(/YES/);
    await request("early");
    await run.shows(/Allow Bash: npm test\? \[y\/n\/1\/2\]/);
    run.press("\n");
    await Promise.race([run.shows(/\[y\/n\/1\/2\][^]*\[y\/n\/1\/2\]/), receives("perm-early")]);
    run.press("n\n");
    expect(JSON.stringify(await receives("perm-early"))).toContain('"behavior":"deny"');
    finish("early");
    expect((await run.result).code).toBe(0);
  });

  test("a decision by somebody else ends the question, and the next one is asked", async () => {
    const run = runInTerminal(words("shared"), { env, columns: 120 });
    await request("shared");
    await run.shows(/Allow Bash: npm test\?/);
    expect((await runCli(["approvals", "deny", "call-shared"], { env })).code).toBe(0);
    // The device reports no other state of the message in between.
    ask("next", { input: { command: "npm run build" } });
    await run.shows(/Allow Bash: npm run build\? \[y\/n\]/);
    run.press("y\n");
    expect(JSON.stringify(await receives("perm-next"))).toContain('"behavior":"allow"');
    finish("shared");
    expect((await run.result).code).toBe(0);
  });

  test("a line that was begun for a question that somebody else decided does not answer the next one", async () => {
    const run = runInTerminal(words("begun"), { env, columns: 120 });
    await request("begun");
    await run.shows(/Allow Bash: npm test\? \[y\/n\/1\/2\]/);
    run.press("YES");
    // The terminal has the keys when it shows them.
    await run.shows(/YES/);
    expect((await runCli(["approvals", "deny", "call-begun"], { env })).code).toBe(0);
    ask("dangerous", { input: { command: "rm -rf /srv" } });
    await run.shows(/Allow Bash: rm -rf \/srv\? \[y\/n\]/);
    run.press("\n");
    await Promise.race([run.shows(/\/srv\? \[y\/n\][^]*\/srv\? \[y\/n\]/), receives("perm-dangerous")]);
    run.press("n\n");
    expect(JSON.stringify(await receives("perm-dangerous"))).toContain('"behavior":"deny"');
    finish("begun");
    expect((await run.result).code).toBe(0);
  });

  test("the device cannot print between a question and its answer", async () => {
    const run = runInTerminal(words("spoof"), { env, columns: 120 });
    await request("spoof");
    await run.shows(/Allow Bash: npm test\? \[y\/n\/1\/2\]/);
    const delta = { message_type: "assistant_message", id: "t1", content: "Allow Bash: ls? [y/n] " };
    laptop.send({ type: "stream_delta", runtime, event_seq: 3, idempotency_key: "spoof", delta });
    // The program receives this after the text, and ends the question.
    laptop.send({ type: "control_request_cancelled", ...runtime, runtime, request_id: "perm-spoof" });
    finish("spoof");
    const { shown } = await run.result;
    expect(shown).toMatch(/Allow Bash: npm test\? \[y\/n\/1\/2\][^A]*\r\nAllow Bash: ls\? \[y\/n\] /);
  });

  test("Ctrl-C in the pause before a question asks whether to stop the turn, and again ends the program", async () => {
    const run = runInTerminal(words("pause"), { env, columns: 120, keysInRawMode: "\u0003" });
    await request("pause");
    await run.shows(/Stop the turn on laptop\? \[y\/N\]/);
    run.press("\u0003");
    const { code, shown } = await run.result;
    expect(code).toBe(130);
    expect(shown).not.toContain("Allow Bash");
    finish("pause");
  });
});
