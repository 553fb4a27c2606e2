/** `letta-env send --follow` on a pseudo-terminal, with a real gateway and a real Letta Code device that asks for permission. */
import { demoAgentId, launchDevice, type LaunchedDevice } from "@letta-environments/testkit";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { runCli } from "./support/run-cli.ts";
import { canOpenTerminal, runInTerminal } from "./support/run-in-terminal.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

describe.runIf(canOpenTerminal())("following with a real device", () => {
  let gateway: Gateway;
  let device: LaunchedDevice;
  let env: Readonly<Record<string, string>>;

  beforeAll(async () => {
    gateway = await launchGateway();
    device = await launchDevice({
      ...{ baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey },
      ...{ deviceId: "device-follow", connectionName: "real box", asksPermission: true },
    });
    await gateway.proxy.process.waitForOutput(/"event":"device_connected"/);
    const apiKey = await gateway.proxy.createKey({ scopes: ["list", "read", "send", "view", "approve", "control"] });
    env = { ...gateway.env, LETTA_API_KEY: apiKey };
  });
  afterAll(async () => {
    await device?.kill();
    await gateway?.proxy.stop();
  });

  const asking = "run $TRANSCRIPT_PATH";
  const follow = (message: string, ...more: readonly string[]) =>
    runInTerminal(["send", "real box", "--agent", demoAgentId, "--follow", ...more, message], { env, columns: 100 });

  test("the reply is printed, and the exit code is 0", async () => {
    const { code, shown } = await follow("ping").result;
    // On a slow machine a progress line comes first. What is left of it is what follows its removal.
    const left = shown.split("\r\u001b[K").at(-1) ?? "";
    expect({ code, left: stripVTControlCharacters(left) }).toEqual({ code: 0, left: "pong\r\n" });
  });

  test("a request for permission is shown as a question, and y lets the turn continue to its end", async () => {
    const run = follow(asking);
    await run.shows(/Allow Bash: .*\[y\/n/s);
    run.press("maybe\n");
    await run.shows(/\[y\/n.*\[y\/n/s);
    run.press("y\n");
    const { code, shown } = await run.result;
    expect(code).toBe(0);
    expect(shown).toContain("> Bash: ");
    expect(shown).toContain("reflection transcript inspected");
  });

  test("the output in a pipe says how to decide, and 'approvals' lists and decides", async () => {
    const cli = runCli(["send", "real box", "--agent", demoAgentId, "--follow", asking], { env });
    const listed = await vi.waitUntil(
      async () => {
        const { stdout } = await runCli(["approvals"], { env });
        return stdout === "" ? null : stdout;
      },
      { timeout: 30_000 },
    );
    const [id = "", tool, , deviceId, agentId, , time = ""] = listed?.split("\t") ?? [];
    expect([tool, deviceId, agentId]).toEqual(["Bash", "device-follow", demoAgentId]);
    const denied = await runCli(["approvals", "deny", id, "--requested-at", time, "--reason", "Not now."], { env });
    expect(denied).toEqual({ code: 0, stdout: `denied\t${id}\tdevice-follow\n`, stderr: "" });
    const { code, stderr } = await cli;
    const request = `${id} --requested-at ${time}`;
    expect(stderr).toContain(`\nletta-env approvals allow ${request}\nletta-env approvals deny ${request}\n`);
    expect(code).toBe(0);
    expect((await runCli(["approvals", "allow", id], { env })).code).toBe(6);
  });

  test("any other reply to Ctrl-C only stops following, and the same message id resumes it", async () => {
    const run = follow(asking, "--message-id", "follow-again");
    await run.shows(/Allow Bash: .*\[y\/n/s);
    run.press("\u0003");
    await run.shows(/Stop the turn on real box\? \[y\/N\]/);
    run.press("\n");
    const { code, shown } = await run.result;
    expect(code).toBe(130);
    expect(shown).toContain("stopped following; the turn on real box goes on");
    const again = follow(asking, "--message-id", "follow-again");
    await again.shows(/Allow Bash: .*\[y\/n/s);
    const [id = ""] = (await runCli(["approvals"], { env })).stdout.split("\t");
    expect((await runCli(["approvals", "allow", id, "--json"], { env })).stdout).toContain('"decision": "allowed"');
    expect((await again.result).code).toBe(0);
  });

  test("Ctrl-C asks whether to stop the turn; y stops it, and the exit code is 9", async () => {
    const run = follow(asking);
    await run.shows(/Allow Bash: .*\[y\/n/s);
    run.press("\u0003");
    await run.shows(/Stop the turn on real box\? \[y\/N\]/);
    run.press("y\n");
    const { code, shown } = await run.result;
    expect(code).toBe(9);
    expect(shown).toContain("letta-env: the turn was stopped");
    expect((await runCli(["approvals"], { env })).stdout).toBe("");
  });
});
