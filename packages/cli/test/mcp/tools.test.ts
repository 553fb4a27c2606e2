/** `letta-env mcp` with the client of the official SDK, a real gateway and scripted devices. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { baseEnvironment } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Fleet, launchFleet } from "../support/launch-fleet.ts";
import { connectMcpClient, type McpClient } from "../support/mcp-client.ts";
import { entry, runCli } from "../support/run-cli.ts";

let fleet: Fleet;
let mcp: McpClient;

beforeAll(async () => {
  fleet = await launchFleet();
  mcp = await connectMcpClient(fleet.gateway.env);
});
afterAll(async () => {
  await mcp?.close();
  await fleet?.stop();
});

test("every tool has a title, a description, schemas of input and output, and says whether it changes anything", async () => {
  const { tools } = await mcp.client.listTools();
  const rows = tools.map(({ name, annotations }) => [name, annotations?.readOnlyHint, annotations?.destructiveHint]);
  expect(rows).toEqual([
    ["list_devices", true, undefined],
    ["send_message", false, true],
    ["message_status", true, undefined],
    ["list_messages", true, undefined],
    ["list_approvals", true, undefined],
    ["answer_approval", false, true],
  ]);
  for (const { title, description, inputSchema, outputSchema } of tools) {
    expect(title).toMatch(/^\w/);
    expect(description).toContain("Needs the scope");
    expect(inputSchema).toMatchObject({ type: "object", additionalProperties: false });
    expect(outputSchema).toMatchObject({ type: "object" });
  }
  expect(mcp.client.getInstructions()).toContain("like running code on that machine");
});

test("list_devices returns the devices of the key, with their presence", async () => {
  const { output } = await mcp.call("list_devices", { onlineOnly: true });
  expect(output).toMatchObject({ hasMore: false });
  expect(output["devices"]).toContainEqual(
    expect.objectContaining({ deviceId: "device-1", name: "laptop", online: true, tags: [] }),
  );
  const all = await mcp.call("list_devices", { limit: 2 });
  expect(all.output).toMatchObject({ hasMore: true });
  expect(all.output["devices"]).toHaveLength(2);
});

test("list_devices returns the device name that the other tools accept, whatever its display name is", async () => {
  const { url, createKey } = fleet.gateway.proxy;
  const key = await createKey({ scopes: ["admin"] });
  const label = async (displayName: string | null): Promise<void> => {
    await fetch(`${url}/v1/environments/device-1`, {
      method: "PATCH",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ displayName }),
    });
  };
  await label("another device's name");
  const { output } = await mcp.call("list_devices", {});
  await label(null);
  const names = { name: "laptop", displayName: "another device's name" };
  expect(output["devices"]).toContainEqual(expect.objectContaining({ deviceId: "device-1", ...names }));
});

test("send_message runs a repeated id once, and the text of the result is the structured output", async () => {
  const message = { device: "laptop", agentId: "agent-1", message: "ping", messageId: "mcp-1", waitSeconds: 0 };
  const first = await mcp.call("send_message", message);
  expect(first.output).toMatchObject({ messageId: "mcp-1", deviceId: "device-1", turn: null });
  expect(JSON.parse(first.text)).toEqual(first.output);
  const again = await mcp.call("send_message", message);
  expect(again.output).toMatchObject({ outcome: "duplicate", messageId: "mcp-1" });
  const { connectionId } = first.output;
  const status = await mcp.call("message_status", { connectionId, messageId: "mcp-1" });
  expect(status.output).toMatchObject({ outcome: "unfinished", state: "accepted", reply: null });
});

test("list_messages returns a device's messages with their outcomes, the latest first, even while it is offline", async () => {
  for (const messageId of ["mcp-2", "mcp-3"])
    await mcp.call("send_message", {
      device: "laptop",
      agentId: "agent-list",
      message: "x",
      messageId,
      waitSeconds: 0,
    });
  const { output } = await mcp.call("list_messages", {
    device: "laptop",
    agentId: "agent-list",
    replies: true,
    limit: 1,
  });
  const expected = { messageId: "mcp-3", agentId: "agent-list", state: "accepted", outcome: "unfinished", reply: null };
  expect(output).toMatchObject({ deviceId: "device-1", messages: [expected], hasMore: true });
  const ended = await mcp.call("list_messages", { device: "laptop", agentId: "agent-list", state: ["finished"] });
  expect(ended.output).toMatchObject({ messages: [], hasMore: false });
  const asleep = await mcp.call("list_messages", { device: "asleep" });
  expect(asleep.output).toEqual({ deviceId: "device-4", connectionId: null, messages: [], hasMore: false });
});

describe("failures of tools", () => {
  const message = { agentId: "agent-1", message: "ping", waitSeconds: 0 };
  const requestedAt = "1970-01-01T00:00:00.001Z";

  test.each([
    ["an unknown device", "send_message", { ...message, device: "laptob" }, "did you mean laptop?"],
    ["an offline device", "send_message", { ...message, device: "asleep" }, /^asleep is offline .*; nothing was sent$/],
    ["an ambiguous name", "send_message", { ...message, device: "twin" }, /offline|have this name/],
    ["a device that refuses", "send_message", { ...message, device: "grumpy" }, /^input_rejected: /],
    ["no agent", "send_message", { device: "laptop", message: "x" }, "agentId is needed"],
    ["an unknown argument", "list_devices", { unknown: 1 }, /: unknown is not a known member$/],
    ["an absent argument", "send_message", { agentId: "a" }, /: device is required, message is required$/],
    ["an argument of another type", "list_devices", { tags: "x" }, /: tags must be an array$/],
    ["an unknown value", "list_messages", { device: "laptop", state: ["x"] }, /: state\[0\] must be "received"/],
    ["a bad number", "list_devices", { limit: 0 }, /: limit must be a whole number from 1 to 500$/],
    ["an empty text", "send_message", { ...message, device: "" }, /: device must have 1 to 256 characters$/],
    [
      "a bad tag",
      "list_devices",
      { tags: ["a b"] },
      /: tags\[0\] must be a tag: at most 64 letters, digits, _ \. : or -$/,
    ],
    ["an unknown message", "message_status", { connectionId: "env-conn-x", messageId: "x" }, /^message_not_found/],
    ["an unknown request", "answer_approval", { id: "x", decision: "allow", requestedAt }, "no such request waits"],
    [
      "a decision without the time of the request",
      "answer_approval",
      { id: "x", decision: "allow" },
      /: requestedAt is required$/,
    ],
  ])("a tool error has the text of the command line: %s", async (_, tool, input, text) => {
    const result = await mcp.call(tool, input);
    expect({ isError: result.isError, output: result.output }).toEqual({ isError: true, output: {} });
    expect(result.text).toEqual(typeof text === "string" ? expect.stringContaining(text) : expect.stringMatching(text));
  });

  test("a tool error for a missing scope names the scope, and the key is not shown", async () => {
    const apiKey = await fleet.gateway.proxy.createKey({ scopes: ["list"] });
    const other = await connectMcpClient({ ...fleet.gateway.env, LETTA_API_KEY: apiKey });
    const listed = await other.call("list_devices");
    expect(listed.isError).toBe(false);
    const { isError, text } = await other.call("list_approvals");
    expect({ isError, text }).toEqual({ isError: true, text: expect.stringContaining("approve") });
    expect(text).not.toContain(apiKey);
    await other.close();
  });

  test("a tool error says that a server cannot be reached", async () => {
    const other = await connectMcpClient({ ...fleet.gateway.env, LETTA_BASE_URL: "http://127.0.0.1:2" });
    expect((await other.call("list_devices")).text).toBe("cannot reach http://127.0.0.1:2: connection refused");
    await other.close();
  });
});

test("no other command loads the MCP SDK", async () => {
  const hooks = `import { registerHooks } from "node:module";
registerHooks({ resolve: (name, context, next) => (name.includes("modelcontextprotocol") && console.error(name), next(name, context)) });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hooks)}`;
  const listed = await runCli(["list"], { env: { ...fleet.gateway.env, NODE_OPTIONS } });
  expect([listed.code, listed.stderr]).toEqual([0, ""]);
  const served = await runCli(["mcp"], { env: { ...fleet.gateway.env, NODE_OPTIONS } });
  expect(served.stderr).toContain("@modelcontextprotocol/server");
});

test("nothing is served without an address, and one line on standard error names the setting", async () => {
  const { code, stdout, stderr } = await runCli(["mcp"], { env: { LETTA_API_KEY: "x" } });
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^letta-env: LETTA_BASE_URL is not set: [^\n]*\n/);
});

test("the program ends with 0 when the client closes its input, and prints nothing else on standard output", async () => {
  expect(await runCli(["mcp"], { env: fleet.gateway.env })).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("the program ends with 143 on SIGTERM", async () => {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", entry, "mcp"], {
    env: { ...baseEnvironment, ...fleet.gateway.env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  expect((await once(child, "exit"))[0]).toBe(143);
});
