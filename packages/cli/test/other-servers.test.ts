/** `letta-env` in front of a server that is not ours: decisions, hostile texts, connections that change. */
import type { ServerResponse } from "node:http";
import { createFakeUpstream, type FakeUpstream, type SeenRequest } from "@letta-environments/testkit";
import { afterEach, expect, test, vi } from "vitest";
import { runCli } from "./support/run-cli.ts";

vi.setConfig({ testTimeout: 60_000 });

let server: FakeUpstream | undefined;
afterEach(async () => {
  await server?.close();
});

const row = (connectionId: string, connectionName = "laptop") => ({
  ...{ id: "e1", deviceId: "d1", connectionId, connectionName, organizationId: "o", podId: null },
  ...{ connectedAt: 1, firstSeenAt: 1, lastHeartbeat: Date.now(), lastSeenAt: 1 },
});

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function start(
  answer: (request: SeenRequest, response: ServerResponse) => void,
): Promise<Record<string, string>> {
  server = await createFakeUpstream(answer);
  return { LETTA_BASE_URL: server.url, LETTA_API_KEY: "key-1" };
}

const bodies = (): unknown[] =>
  (server?.seen ?? []).filter(({ body }) => body !== "").map(({ body }) => JSON.parse(body));

test("approve and deny send the decision on the tool call, with its reason", async () => {
  const env = await start(({ method }, response) =>
    method === "GET" ? reply(response, 200, row("c1")) : reply(response, 200, { success: true, message: "ok" }),
  );
  const words = ["d1", "--agent", "a1", "--request", "call-1"];
  expect(await runCli(["approve", ...words], { env })).toEqual({ code: 0, stdout: "accepted\t\td1\n", stderr: "" });
  expect((await runCli(["deny", ...words, "--reason", "not on a Friday"], { env })).code).toBe(0);
  const decision = (more: object) => ({
    agentId: "a1",
    messages: [{ type: "approval", approvals: [expect.objectContaining({ tool_call_id: "call-1", ...more })] }],
  });
  expect(bodies()).toEqual([decision({ approve: true }), decision({ approve: false, reason: "not on a Friday" })]);
});

test("a send goes to the new connection when the device has registered again, with the same id and key", async () => {
  let connectionId = "old";
  const env = await start(({ method, target }, response) => {
    if (method === "GET") reply(response, 200, row(connectionId));
    else if (target.includes("/old/")) {
      connectionId = "new";
      reply(response, 409, { errorCode: "connection_replaced", message: "replaced" });
    } else reply(response, 200, { success: true, message: "ok" });
  });
  const words = ["send", "d1", "--agent", "a1", "--message-id", "m1", "--idempotency-key", "k1", "hi"];
  expect((await runCli(words, { env })).code).toBe(0);
  const [first, second] = bodies();
  expect(second).toEqual(first);
  const sends = (server?.seen ?? []).filter(({ method }) => method === "POST");
  expect(sends.map(({ headers }) => headers["idempotency-key"])).toEqual(["k1", "k1"]);
});

test("names and errors of a server cannot steer the terminal, in no format", async () => {
  const name = "evil\u001b[2J\u202e\u009b1m\tname\n";
  const env = await start(({ target }, response) =>
    target === "/v1/environments/d1"
      ? reply(response, 500, { message: `broken\u001b]0;x\u0007 ${"key-1"}` })
      : reply(response, 200, { connections: [row("c1", name)], hasNextPage: false }),
  );
  for (const words of [["list"], ["list", "--json"], ["get", "no such id"], ["get", "d1", "--verbose"]]) {
    const { stdout, stderr } = await runCli(words, { env });
    for (const character of "\u001b\u202e\u009b\u0007") expect(stdout + stderr).not.toContain(character);
    expect(stderr).not.toContain("key-1");
  }
  const { stdout } = await runCli(["list", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ connections: [{ connectionName: name }] });
});

test("pages that never end are a failure, not a loop", async () => {
  const env = await start((_request, response) =>
    reply(response, 200, { connections: [row("c1")], hasNextPage: true }),
  );
  const { code, stderr } = await runCli(["list", "--all"], { env });
  expect(code).toBe(1);
  expect(stderr).toBe("letta-env: the server says that there are more devices, and does not give them\n");
});
