/** `letta-env` on Bun and Deno: the same program, the same answers. */
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { connectScriptedDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { runCli } from "./support/run-cli.ts";
import { canOpenTerminal, runInTerminal } from "./support/run-in-terminal.ts";

const folderOf = (name: string): string => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
// The programs in node_modules/.bin are wrappers that outlive a signal.
const runtimes = [
  ["Bun", [join(folderOf("bun"), "bin", "bun.exe"), "run"]],
  ["Deno", [join(folderOf("deno"), "deno"), "run", "--no-lock", "--allow-env", "--allow-net", "--allow-read"]],
] as const;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await launchGateway();
});
afterAll(async () => {
  await gateway?.proxy.stop();
});

const hasTerminal = canOpenTerminal();

describe.each(runtimes)("%s", (name, [command, ...args]) => {
  const run = (words: readonly string[], input?: string) =>
    runCli(words, {
      env: { ...gateway.env, HOME: gateway.proxy.dataDir },
      runtime: [command, ...args],
      ...(input !== undefined && { input }),
    });

  test("the command lists, sends from standard input, and fails with the same codes", async () => {
    const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
    const device = await connectScriptedDevice({ ...options, deviceId: `on-${name}` });
    const listed = await run(["list", "--online"]);
    expect([listed.code, listed.stderr]).toEqual([0, ""]);
    expect(listed.stdout).toContain(`on-${name}\t`);
    const sent = await run(["send", `on-${name}`, "--agent", "a1", "--message-id", `m-${name}`], "from a pipe\n");
    expect(sent).toEqual({ code: 0, stdout: `started\tm-${name}\ton-${name}\n`, stderr: "" });
    expect(JSON.stringify(device.received.frames.findLast(({ type }) => type === "input"))).toContain('"from a pipe"');
    expect((await run(["get", "nobody"])).code).toBe(6);
    expect((await run(["list", "--onlin"])).code).toBe(2);
    await device.close();
  });

  test.runIf(hasTerminal)("a question is not answered by keys pressed before it, and Ctrl-C works in it", async () => {
    const options = { baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey };
    const device = await connectScriptedDevice({ ...options, deviceId: `asks-${name}` });
    const apiKey = await gateway.proxy.createKey({ scopes: ["list", "read", "send", "view", "approve"] });
    const env = { ...gateway.env, LETTA_API_KEY: apiKey, HOME: gateway.proxy.dataDir };
    const words = ["send", `asks-${name}`, "--agent", "a1", "--message-id", "m1", "--follow", "hello"];
    const run = runInTerminal(words, { env, columns: 120, runtime: [command, ...args] });
    await device.received.waitFor((frame) => JSON.stringify(frame).includes("m1"));
    run.press("YES");
    await run.shows(/YES/);
    const runtime = { agent_id: "a1", conversation_id: "default" };
    const runs = { active_run_ids: ["r1"], client_message_ids_by_run_id: { r1: ["m1"] } };
    const loop_status = { status: "PROCESSING_API_RESPONSE", ...runs };
    device.send({ type: "update_loop_status", runtime, event_seq: 1, idempotency_key: "loop", loop_status });
    const request = { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-1" };
    device.send({ type: "control_request", request_id: "perm-1", runtime, request });
    await run.shows(/Allow Bash\? \[y\/n\]/);
    run.press("\n");
    await run.shows(/\[y\/n\][^]*\[y\/n\]/);
    run.press("\u0003");
    await run.shows(/Stop the turn on .*\? \[y\/N\]/);
    run.press("\u0003");
    expect((await run.result).code).toBe(130);
    expect(JSON.stringify(device.received.frames)).not.toContain("perm-1");
    await device.close();
  });
});
