/** A real device that requests permission to run a command, and receives the decision of a client. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@letta-environments/client";
import type { ApprovalList } from "@letta-environments/schema";
import {
  createFakeAgentsApi,
  createRelay,
  demoAgentId,
  type FakeAgentsApi,
  type Frame,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  type Relay,
  runLettaProxy,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

let proxy: LaunchedProxy;
let agents: FakeAgentsApi;

beforeAll(async () => {
  [proxy, agents] = await Promise.all([launchProxy(), createFakeAgentsApi()]);
}, 60_000);

afterAll(async () => {
  await agents?.close();
  await proxy?.stop();
}, 60_000);

/** A real device behind a relay that asks for permission, and a client that may decide. */
interface Asking {
  readonly relay: Relay;
  readonly device: LaunchedDevice;
  readonly apiKey: string;
  send(message: unknown, apiKey?: string): Promise<unknown>;
  list(): Promise<ApprovalList>;
  /** Waits for the next turn that ends, and returns the frame. */
  turnEnd(): Promise<Frame>;
  close(): Promise<void>;
}

async function launchAsking(
  deviceId: string,
  backend: "local" | "api",
  gateway: LaunchedProxy = proxy,
): Promise<Asking> {
  const relay = await createRelay(gateway.url, {
    targetOf: (path) => (backend === "local" || path.startsWith("/v1/environments") ? null : agents.url),
  });
  const connectKey = await gateway.createKey({ scopes: ["connect"] });
  const device = await launchDevice({
    baseUrl: relay.url,
    apiKey: connectKey,
    deviceId,
    asksPermission: true,
    backend,
  });
  await gateway.process.waitForOutput(new RegExp(`"event":"device_connected"[^\\n]*"${deviceId}"`));
  const apiKey = await gateway.createKey({ scopes: ["read", "send", "approve"] });
  let ends = 0;
  return {
    relay,
    device,
    apiKey,
    async send(message, key = apiKey) {
      const { environments } = createClient({ baseUrl: gateway.url, apiKey: key });
      const { connectionId } = await environments.retrieve(deviceId);
      return environments.sendMessage(connectionId ?? "", { agentId: demoAgentId, messages: [message as never] });
    },
    async list() {
      const headers = { authorization: `Bearer ${apiKey}` };
      return (await fetch(`${gateway.url}/v1/environments/approvals`, { headers })).json() as Promise<ApprovalList>;
    },
    async turnEnd() {
      const isEnd = (frame: Frame): boolean => frame.type === "turn_finished";
      let seen = 0;
      ends += 1;
      return relay.fromDevice.waitFor((frame) => isEnd(frame) && (seen += 1) >= ends);
    },
    async close() {
      await device.kill();
      await relay.close();
    },
  };
}

function decision(id: string, approve: boolean, reason?: string): unknown {
  return { type: "approval", approvals: [{ approve, tool_call_id: id, ...(reason !== undefined && { reason }) }] };
}

const user = (content: string): unknown => ({ role: "user", content, client_message_id: `message: ${content}` });

describe("approvals with the local backend", () => {
  test("an approval by a client makes the device run the command once, and a repeat has no effect", async () => {
    const asking = await launchAsking("device-local", "local");
    const { relay } = asking;
    await asking.send(user("Read $TRANSCRIPT_PATH"));
    await relay.fromDevice.waitFor((frame) => frame.type === "control_request");
    await expect
      .poll(async () => (await asking.list()).approvals)
      .toMatchObject([{ deviceId: "device-local", tool: "Bash" }]);
    const [{ id } = { id: "" }] = (await asking.list()).approvals;
    const approval = decision(id, true);
    expect(await asking.send(approval)).toMatchObject({ success: true });
    await asking.turnEnd();
    expect(await asking.send(approval)).toMatchObject({ success: true });
    const text = JSON.stringify(relay.fromDevice.frames);
    expect(text.match(/"message_type":"client_tool_start"/g)).toHaveLength(1);
    expect(JSON.stringify(relay.fromServer.frames).match(/"kind":"approval_response"/g)).toHaveLength(1);
    expect((await asking.list()).approvals).toEqual([]);
    await asking.close();
  }, 60_000);
});

describe("approvals with the API backend, on a fake agents API", () => {
  let asking: Asking;
  beforeAll(async () => {
    asking = await launchAsking("device-api", "api");
  }, 60_000);
  afterAll(async () => {
    await asking?.close();
  });

  async function waitForRequest(content: string): Promise<ApprovalList["approvals"][number]> {
    await asking.send(user(content));
    await expect.poll(async () => (await asking.list()).approvals.length, { timeout: 20_000 }).toBe(1);
    const [approval] = (await asking.list()).approvals;
    if (approval === undefined) throw new Error("the request is no longer listed");
    return approval;
  }

  test("a request is listed with its tool, its input and the message that caused it, and the tool runs when it is allowed", async () => {
    const approval = await waitForRequest("run touch allowed.txt && echo made");
    expect(approval).toMatchObject({
      deviceId: "device-api",
      agentId: demoAgentId,
      conversationId: "default",
      tool: "Bash",
      input: { command: "touch allowed.txt && echo made" },
      inputTruncated: false,
      clientMessageId: "message: run touch allowed.txt && echo made",
    });
    const { environments } = createClient({ baseUrl: proxy.url, apiKey: asking.apiKey });
    expect(await environments.retrieve("device-api")).toMatchObject({ pendingApprovals: 1 });
    await asking.send(decision(approval.id, true));
    expect(await asking.turnEnd()).toMatchObject({ stop_reason: "end_turn" });
    expect(agents.turns.at(-1)?.plan).toEqual({ kind: "reply", pieces: ["done: made"] });
    expect((await asking.list()).approvals).toEqual([]);
  }, 60_000);

  test("a denial reaches the agent with its text, and the tool does not run", async () => {
    const approval = await waitForRequest("run touch denied.txt");
    await asking.send(decision(approval.id, false, "Not on this machine"));
    await asking.turnEnd();
    expect(JSON.stringify(agents.turns.at(-1)?.messages)).toContain("Not on this machine");
    expect(JSON.stringify(asking.relay.fromDevice.frames.filter(({ type }) => type === "stream_delta"))).not.toContain(
      '"tool_return":"denied.txt',
    );
  }, 60_000);

  test("one of two racing approvers wins, and the other one receives 409 with the decision", async () => {
    const approval = await waitForRequest("run touch raced.txt");
    const otherKey = await proxy.createKey({ scopes: ["read", "send", "approve"] });
    const results = await Promise.allSettled([
      asking.send(decision(approval.id, true)),
      asking.send(decision(approval.id, false, "No"), otherKey),
    ]);
    const lost = results.filter((result) => result.status === "rejected");
    expect(lost).toHaveLength(1);
    expect(lost[0]?.reason).toMatchObject({ status: 409, code: "approval_decided" });
    await asking.turnEnd();
    const responses = asking.relay.fromServer.frames.filter((frame) =>
      JSON.stringify(frame).includes(`perm-${approval.id}`),
    );
    expect(responses).toHaveLength(1);
    const { stdout } = await runLettaProxy(["audit", "list", "--json", "--data-dir", proxy.dataDir]);
    const decided = stdout
      .split("\n")
      .filter((line) => line.includes('"approval_decided"') && line.includes(approval.id));
    expect(decided).toHaveLength(1);
  }, 60_000);

  test("requests from messages of a key with a deadline are denied with a text when nobody decides in time", async () => {
    const strictKey = await proxy.createKey({ scopes: ["read", "send"], more: ["--approval-deadline", "1s"] });
    await asking.send(user("run touch late.txt"), strictKey);
    await asking.turnEnd();
    expect(JSON.stringify(agents.turns.at(-1)?.messages)).toContain("Nobody decided on this request within 1 seconds");
  }, 60_000);

  test("a decision on a tool call that is not pending is 404 and is not sent", async () => {
    await expect(asking.send(decision("call-unknown", false))).rejects.toMatchObject({
      status: 404,
      code: "approval_not_found",
    });
    expect(JSON.stringify(asking.relay.fromServer.frames)).not.toContain("perm-call-unknown");
  }, 60_000);
});

test("a policy of the configuration denies a tool with a text, and the audit log says so", async () => {
  const folder = await mkdtemp(join(tmpdir(), "letta-approvals-"));
  const config = join(folder, "proxy.config.json");
  await writeFile(config, JSON.stringify({ approvals: { deniedTools: ["Ba*"] } }));
  const gateway = await launchProxy({ args: ["--config", config] });
  const asking = await launchAsking("device-policy", "api", gateway);
  await asking.send(user("run touch never.txt"));
  await asking.turnEnd();
  expect(JSON.stringify(agents.turns.at(-1)?.messages)).toContain("does not allow the tool Bash");
  const { stdout } = await runLettaProxy(["audit", "list", "--json", "--data-dir", gateway.dataDir]);
  expect(stdout).toContain('"policy":"denied_tool"');
  await asking.close();
  await gateway.stop();
  await rm(folder, { recursive: true });
}, 60_000);

test("a device whose turns fail because it has no agents API says so in its row, and receives no further messages", async () => {
  const relay = await createRelay(proxy.url);
  const connectKey = await proxy.createKey({ scopes: ["connect"] });
  const device = await launchDevice({
    baseUrl: relay.url,
    apiKey: connectKey,
    deviceId: "device-alone",
    backend: "api",
  });
  await proxy.process.waitForOutput(/"event":"device_connected"[^\n]*"device-alone"/);
  const apiKey = await proxy.createKey({ scopes: ["read", "send"] });
  const { environments } = createClient({ baseUrl: proxy.url, apiKey });
  const { connectionId } = await environments.retrieve("device-alone");
  const send = (content: string): Promise<unknown> =>
    environments.sendMessage(connectionId ?? "", { agentId: demoAgentId, messages: [user(content) as never] });
  expect(await send("hello")).toMatchObject({ success: true });
  await relay.fromDevice.waitFor((frame) => frame.type === "turn_finished");
  await expect.poll(() => environments.retrieve("device-alone")).toMatchObject({ sendProblem: "agents_api_missing" });
  await expect(send("hello again")).rejects.toMatchObject({
    status: 409,
    code: "agents_api_missing",
    message: expect.stringContaining("--backend local"),
  });
  await device.kill();
  await relay.close();
}, 60_000);
