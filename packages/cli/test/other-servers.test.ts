/** `letta-env` against a server that is not ours: decisions, hostile texts, connections that change. */
import { expect, test } from "vitest";
import { reply, rowOf, serve } from "./support/fake-server.ts";
import { runCli } from "./support/run-cli.ts";

test("approve and deny send the decision on the tool call, with its reason", async () => {
  const { env, posts } = await serve(({ method }, response) =>
    method === "GET" ? reply(response, 200, rowOf("c1")) : reply(response, 200, { success: true, message: "ok" }),
  );
  const words = ["d1", "--agent", "a1", "--request", "call-1"];
  expect(await runCli(["approve", ...words], { env })).toEqual({ code: 0, stdout: "accepted\t\td1\n", stderr: "" });
  expect((await runCli(["deny", ...words, "--reason", "not on a Friday"], { env })).code).toBe(0);
  const decision = (more: object) => ({
    agentId: "a1",
    messages: [{ type: "approval", approvals: [expect.objectContaining({ tool_call_id: "call-1", ...more })] }],
  });
  expect(posts().map(({ body }) => JSON.parse(body))).toEqual([
    decision({ approve: true }),
    decision({ approve: false, reason: "not on a Friday" }),
  ]);
});

test("a send goes to the new connection when the device has registered again, with the same id and key", async () => {
  let connectionId = "old";
  const { env, posts } = await serve(({ method, target }, response) => {
    if (method === "GET") reply(response, 200, rowOf(connectionId));
    else if (target.includes("/old/")) {
      connectionId = "new";
      reply(response, 409, { errorCode: "connection_replaced", message: "replaced" });
    } else reply(response, 200, { success: true, message: "ok" });
  });
  const words = ["send", "d1", "--agent", "a1", "--message-id", "m1", "--idempotency-key", "k1", "hi"];
  expect((await runCli(words, { env })).code).toBe(0);
  const [first, second] = posts().map(({ body }) => JSON.parse(body));
  expect(second).toEqual(first);
  expect(posts().map(({ headers }) => headers["idempotency-key"])).toEqual(["k1", "k1"]);
});

test("names and errors of a server cannot control the terminal, in any format", async () => {
  const name = "evil\u001b[2J\u202e\u009b1m\tname\n";
  const { env } = await serve(({ target }, response) =>
    target === "/v1/environments/d1"
      ? reply(response, 500, { message: `broken\u001b]0;x\u0007 ${"key-1"}` })
      : reply(response, 200, { connections: [rowOf("c1", { connectionName: name })], hasNextPage: false }),
  );
  for (const words of [["list"], ["list", "--json"], ["get", "no such id"], ["get", "d1", "--verbose"]]) {
    const { stdout, stderr } = await runCli(words, { env });
    for (const character of "\u001b\u202e\u009b\u0007") expect(stdout + stderr).not.toContain(character);
    expect(stderr).not.toContain("key-1");
  }
  const { stdout } = await runCli(["list", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ connections: [{ connectionName: name }] });
});

test("endless pages cause a failure, not a loop", async () => {
  const { env } = await serve((_request, response) =>
    reply(response, 200, { connections: [rowOf("c1")], hasNextPage: true }),
  );
  const { code, stderr } = await runCli(["list", "--all"], { env });
  expect(code).toBe(1);
  expect(stderr).toBe("letta-env: the server says that there are more devices but returns none\n");
});

test("waiting for a rate limit is reported, even in a pipe", async () => {
  let isLimited = true;
  const { env } = await serve((_request, response) => {
    if (!isLimited) return reply(response, 200, { connections: [], hasNextPage: false });
    isLimited = false;
    response.setHeader("retry-after-ms", "400");
    reply(response, 429, { errorCode: "rate_limited", message: "too many requests" });
  });
  expect(await runCli(["list"], { env })).toEqual({
    code: 0,
    stdout: "",
    stderr: "letta-env: rate limited; trying again in 1 s\n",
  });
});

test("a send to a name of several devices goes to the only one that is online", async () => {
  const rows = [
    { ...rowOf("c1", { connectionName: "demo" }), id: "e1", deviceId: "d1", connectionId: null },
    { ...rowOf("c2", { connectionName: "demo" }), id: "e2", deviceId: "d2" },
    { ...rowOf("c3", { connectionName: "demo" }), id: "e3", deviceId: "d3", connectionId: null },
  ];
  const { env, posts } = await serve(({ method, target }, response) => {
    if (method === "POST") reply(response, 200, { success: true, message: "ok" });
    else if (target === "/v1/environments/d2") reply(response, 200, rows[1]);
    else if (target.startsWith("/v1/environments/")) reply(response, 404, { errorCode: "environment_not_found" });
    else reply(response, 200, { connections: rows, hasNextPage: false });
  });
  const words = ["demo", "--agent", "a1", "--message-id", "m1", "hi"];
  expect(await runCli(["send", ...words], { env })).toEqual({ code: 0, stdout: "accepted\tm1\td2\n", stderr: "" });
  expect(posts()[0]?.target).toContain("/c2/");
  expect(await runCli(["get", "demo"], { env })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("3 devices"),
  });
});

test("a send to a name of several online devices lists their ids and goes to none of them", async () => {
  const rows = ["d1", "d2", "d3"].map((deviceId, index) => ({
    ...rowOf(`c${index}`, { connectionName: "demo" }),
    id: deviceId,
    deviceId,
    ...(deviceId === "d3" && { connectionId: null }),
  }));
  const { env, posts } = await serve(({ method, target }, response) => {
    if (method === "POST") reply(response, 500, {});
    else if (target.startsWith("/v1/environments/")) reply(response, 404, { errorCode: "environment_not_found" });
    else reply(response, 200, { connections: rows, hasNextPage: false });
  });
  const { code, stdout, stderr } = await runCli(["send", "demo", "--agent", "a1", "hi"], { env });
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(
    /^letta-env: 2 online devices have this name; use the deviceId of one of them:\n {2}d1 {2}online, seen .*\n {2}d2 {2}online, seen .*\n$/,
  );
  expect(posts()).toEqual([]);
});

test("a send to a name whose devices are all offline says so, and --wait-online takes the first that comes online", async () => {
  let isOnline = false;
  const rows = () =>
    ["d1", "d2"].map((deviceId) => ({
      ...rowOf(`c-${deviceId}`, { connectionName: "demo" }),
      id: deviceId,
      deviceId,
      ...(!(isOnline && deviceId === "d2") && { connectionId: null }),
    }));
  const { env, posts } = await serve(({ method, target }, response) => {
    if (method === "POST") reply(response, 200, { success: true, message: "ok" });
    else if (target.startsWith("/v1/environments/")) reply(response, 404, { errorCode: "environment_not_found" });
    else {
      reply(response, 200, { connections: rows(), hasNextPage: false });
      isOnline = waits;
    }
  });
  let waits = false;
  const words = ["send", "demo", "--agent", "a1", "hi"];
  expect(await runCli(words, { env })).toMatchObject({ code: 3, stderr: expect.stringContaining("demo is offline") });
  waits = true;
  expect((await runCli([...words, "--wait-online"], { env })).code).toBe(0);
  expect(posts().map(({ target }) => target)).toEqual(["/v1/environments/c-d2/messages"]);
});

test("a server that ignores tags is named as such, and no device is shown as tagged", async () => {
  const { env } = await serve((_request, response) =>
    reply(response, 200, { connections: [rowOf("c1")], hasNextPage: false }),
  );
  for (const command of ["list", "watch"]) {
    const { code, stdout, stderr } = await runCli([command, "--tag", "ci"], { env });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("the server does not support tags");
  }
});
