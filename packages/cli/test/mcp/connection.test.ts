/** The connection of `letta-env mcp` with a client that sends lines that are no messages, or goes away: raw JSON-RPC on pipes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import process from "node:process";
import { baseEnvironment } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { type Fleet, launchFleet } from "../support/launch-fleet.ts";
import { entry } from "../support/run-cli.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await launchFleet();
});
afterAll(() => fleet?.stop());

/** A client that has opened a connection. */
interface RawClient {
  /** Writes lines: texts as they are, other values as JSON. */
  send(...lines: readonly unknown[]): void;
  /** Resolves with the first response that fits. */
  response(fits: (response: Answer) => boolean): Promise<Answer>;
  /** The responses so far. */
  responses(): readonly Answer[];
  closeOutput(): void;
  /** Closes the input, and resolves with the exit code and what was written on standard error. */
  end(): Promise<{ readonly code: number | null; readonly stderr: string }>;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

interface Answer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

const initialize = (protocolVersion: string) => ({
  ...{ jsonrpc: "2.0", id: "init", method: "initialize" },
  params: { protocolVersion, capabilities: {}, clientInfo: { name: "raw", version: "0" } },
});
const ping = (id: unknown) => ({ jsonrpc: "2.0", id, method: "ping" });
const sendMessage = (id: string, message: string, waitSeconds: number) => ({
  ...{ jsonrpc: "2.0", id, method: "tools/call" },
  params: { name: "send_message", arguments: { device: "laptop", agentId: "a1", message, waitSeconds } },
});

async function connect(protocolVersion: string, output: "pipe" | number = "pipe"): Promise<RawClient> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", entry, "mcp"], {
    env: { ...baseEnvironment, ...fleet.gateway.env },
    stdio: ["pipe", output, "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stderr === null) throw new Error("the pipes are missing");
  let errors = "";
  stderr.setEncoding("utf8").on("data", (chunk: string) => (errors += chunk));
  let text = "";
  stdout?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  // A program that has ended does not read.
  stdin.on("error", () => undefined);
  const responses = (): readonly Answer[] =>
    text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Answer);
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stderr: errors }));
  const client: RawClient = {
    send: (...lines) =>
      void stdin.write(lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("")),
    response: (fits) => vi.waitUntil(() => responses().find(fits), { timeout: 30_000 }),
    responses,
    closeOutput: () => void stdout?.destroy(),
    end: () => (stdin.end(), ended),
    ended,
  };
  client.send(initialize(protocolVersion), { jsonrpc: "2.0", method: "notifications/initialized" });
  if (output === "pipe") await client.response(({ id }) => id === "init");
  return client;
}

const errorOf = ({ id, error }: Answer) => [id, error?.code];

test("the program exits silently with 0 when its client no longer reads", async () => {
  const client = await connect("2025-06-18");
  client.closeOutput();
  client.send(ping(1));
  client.send(ping(2));
  expect(await client.ended).toEqual({ code: 0, stderr: "" });
});

test("the program exits with 1 and the reason if its output cannot be written", async () => {
  const client = await connect("2025-06-18", openSync("/dev/full", "w"));
  expect(await client.ended).toEqual({
    code: 1,
    stderr: "letta-env: standard output cannot be written (ENOSPC)\n",
  });
});

test("a message that is too long is refused, and the calls beside it get their responses", async () => {
  const client = await connect("2025-06-18");
  client.send(sendMessage("waits", "hi", 2), sendMessage("long", "x".repeat(11 * 2 ** 20), 0), ping("after"));
  expect(errorOf(await client.response(({ error }) => error !== undefined))).toEqual([null, -32600]);
  await client.response(({ id }) => id === "after");
  expect((await client.response(({ id }) => id === "waits")).result).toMatchObject({
    structuredContent: { deviceId: "device-1" },
  });
  const { code, stderr } = await client.end();
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^letta-env: [^\n]*longer than 10 MiB[^\n]*\n$/)]);
});

test("input that is not JSON or not a message gets an error response, and is named in a line on standard error", async () => {
  const client = await connect("2025-11-25");
  client.send(
    "{oops secret",
    { jsonrpc: "2.0", id: 79, method: 5 },
    [],
    "",
    " \r",
    { result: 1, id: 80 },
    ping("last"),
  );
  await client.response(({ id }) => id === "last");
  expect(client.responses().map(errorOf)).toEqual([
    ["init", undefined],
    [null, -32700],
    [79, -32600],
    [null, -32600],
    [null, -32600],
    ["last", undefined],
  ]);
  const { code, stderr } = await client.end();
  expect(code).toBe(0);
  expect(stderr).toMatch(/^(?:letta-env: [^\n]*-32[67]00[^\n]*\n){4}$/);
  expect(stderr).not.toContain("secret");
});

test("each message of a batch gets a response, even beside an invalid one", async () => {
  const client = await connect("2025-03-26");
  client.send([ping(1), { jsonrpc: "2.0", id: 2 }, { jsonrpc: "2.0", method: "notifications/x" }, ping(3)]);
  await client.response(({ id }) => id === 3);
  expect(client.responses().slice(1).map(errorOf)).toEqual(
    expect.arrayContaining([
      [1, undefined],
      [2, -32600],
      [3, undefined],
    ]),
  );
  expect((await client.end()).code).toBe(0);
});

test("input that the protocol ignores, such as a response to no request, is named on standard error", async () => {
  const client = await connect("2025-06-18");
  client.send({ jsonrpc: "2.0", id: 5, result: { text: "x".repeat(9_000) } }, ping("last"));
  await client.response(({ id }) => id === "last");
  const { code, stderr } = await client.end();
  expect(code).toBe(0);
  expect(stderr).toMatch(/^letta-env: [^\n]*unknown message ID[^\n]{0,400}\n$/);
});
