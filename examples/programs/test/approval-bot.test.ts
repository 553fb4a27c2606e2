/** The bot decides on requests of a real device. */
import { createClient } from "@letta-environments/client";
import {
  demoAgentId,
  type LaunchedDevice,
  launchDevice,
  type LaunchedProxy,
  launchProxy,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { decide, runApprovalBot } from "../src/approval-bot.ts";

describe("the rule of the approval bot", () => {
  const bash = (command: string) => decide({ tool: "Bash", input: { command }, inputTruncated: false });

  test("the rule allows only complete commands from its list", () => {
    expect(bash(" git status ")).toEqual({ approve: true });
    expect([bash("git status; rm -rf ."), bash("npm test && ls"), bash("ls")]).toEqual([null, null, null]);
  });

  test("the rule denies sudo with a reason", () => {
    expect(bash("sudo reboot")).toEqual({ approve: false, reason: expect.stringContaining("sudo") });
  });

  test("the rule leaves other tools and truncated inputs to people", () => {
    expect(decide({ tool: "Write", input: { command: "git status" }, inputTruncated: false })).toBeNull();
    expect(decide({ tool: "Bash", input: { command: "git status" }, inputTruncated: true })).toBeNull();
    expect(decide({ tool: "Bash", input: null, inputTruncated: false })).toBeNull();
  });
});

describe("with a real device", () => {
  let proxy: LaunchedProxy;
  let device: LaunchedDevice;
  beforeAll(async () => {
    proxy = await launchProxy();
    const connect = { baseUrl: proxy.url, apiKey: await proxy.createKey({ scopes: ["connect"] }) };
    device = await launchDevice({ ...connect, deviceId: "asking", connectionName: "asking", asksPermission: true });
    await proxy.process.waitForOutput(/"event":"device_connected"/);
  }, 60_000);
  afterAll(async () => {
    await device?.kill();
    await proxy?.stop();
  });

  test("a request that no rule decides waits for people, and one that a rule allows continues to its end", async () => {
    const apiKey = await proxy.createKey({ scopes: ["list", "read", "send", "approve"] });
    const client = createClient({ baseUrl: proxy.url, apiKey });
    const ended = new AbortController();
    const [left, decided]: [string[], string[]] = [[], []];
    const cautious = runApprovalBot(client, ended.signal, (line) => void left.push(line));
    const body = { messages: [{ role: "user", content: "run $TRANSCRIPT_PATH" } as const], agentId: demoAgentId };
    const sent = client.environments.sendToDevice({ deviceId: "asking" }, body, { wait: "finished" });
    await vi.waitUntil(async () => (await client.environments.approvals.list()).approvals.length > 0, {
      timeout: 30_000,
    });
    expect(left).toEqual([]);
    const generous = runApprovalBot(
      client,
      ended.signal,
      (line) => void decided.push(line),
      ({ tool }) => (tool === "Bash" ? { approve: true } : null),
    );
    expect((await sent).turn.outcome).toBe("finished");
    await vi.waitUntil(() => decided.length > 0, { timeout: 30_000 });
    expect([left, decided]).toEqual([[], ["allowed Bash on asking"]]);
    ended.abort();
    await Promise.all([cautious, generous]);
  }, 60_000);
});
