/** `letta-env` when a request was sent, but its response or the rest of its turn is lost: the output must not say that nothing was done. */
import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { type Answer, approvalOf, type FakeServer, reply, rowOf, serve } from "./support/fake-server.ts";
import { runCli, startCli } from "./support/run-cli.ts";

/** Starts a server that knows a device and requests for permission, by default one; `answer` responds to everything else. */
function start(answer: Answer, approvals: readonly object[] = [approvalOf()]): Promise<FakeServer> {
  return serve((request, response) => {
    const isRead = request.method === "GET";
    if (isRead && request.target.endsWith("/d1")) reply(response, 200, rowOf("c1"));
    else if (isRead && request.target.includes("/approvals"))
      reply(response, 200, { approvals, hasNextPage: false, cursor: null });
    else answer(request, response);
  });
}

const hangUp: Answer = (_request, response) => void response.socket?.destroy();

test("a decision without a response has an unknown outcome, and the output names the command that shows more", async () => {
  const { env, url, posts } = await start(hangUp);
  const { code, stdout, stderr } = await runCli(["approvals", "allow", "t1"], { env });
  expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
  expect(stderr).toBe(
    `letta-env: no response from ${url} to the decision: the connection broke\n` +
      "'letta-env approvals' shows whether the request still waits.\n",
  );
  expect(posts().length).toBe(1);
});

test.each([
  ["1970-01-01T00:00:00.001Z", "as the list prints it"],
  ["1", "as --json prints it"],
])("approvals allow --requested-at %s, %s, decides on the request of that time", async (time) => {
  const { env, posts } = await start((_request, response) => reply(response, 200, { success: true, message: "ok" }));
  const decided = await runCli(["approvals", "allow", "t1", "--requested-at", time], { env });
  expect(decided).toEqual({ code: 0, stdout: "allowed\tt1\td1\n", stderr: "" });
  expect(posts().map(({ body }) => body)).toEqual([expect.stringContaining('"requested_at":1')]);
});

test.each(["allow", "deny"])(
  "approvals %s --requested-at refuses a later request under the same id",
  async (action) => {
    const { env, posts } = await start(hangUp);
    const words = ["approvals", action, "t1", "--requested-at", "1970-01-01T00:00:00.002Z"];
    expect(await runCli(words, { env })).toEqual({
      ...{ code: 6, stdout: "" },
      stderr:
        "letta-env: this id now belongs to another request, so nothing was decided; 'letta-env approvals' lists it\n",
    });
    expect(posts()).toEqual([]);
  },
);

test("requests of two devices with one id are listed with their times, and the time of one selects it", async () => {
  const other = approvalOf({ deviceId: "d2", connectionId: "c2", requestedAt: 2 });
  const { env } = await start(
    (_request, response) => reply(response, 200, { success: true, message: "ok" }),
    [approvalOf(), other],
  );
  expect(await runCli(["approvals", "allow", "t1"], { env })).toEqual({
    ...{ code: 2, stdout: "" },
    stderr:
      "letta-env: 2 requests have this id; select one with --agent, --conversation or --requested-at:\n" +
      "  d1  a1  default  1970-01-01T00:00:00.001Z\n  d2  a1  default  1970-01-01T00:00:00.002Z\n",
  });
  const decided = await runCli(["approvals", "deny", "t1", "--requested-at", "2"], { env });
  expect(decided).toMatchObject({ code: 0, stdout: "denied\tt1\td2\n" });
});

test("a message that the device rejected is refused with its reason, even if the device is offline by then", async () => {
  const { env, posts } = await start((request, response) => {
    const connectionId = posts().length === 0 ? "c1" : null;
    if (request.method === "GET") reply(response, 200, rowOf(connectionId, { deviceId: "d2" }));
    else
      reply(response, 409, {
        ...{ type: "urn:letta-environments:problem:input_rejected", title: "Input rejected" },
        ...{ errorCode: "input_rejected", detail: "workspace is read-only" },
      });
  });
  expect(await runCli(["send", "d2", "--agent", "a1", "hi"], { env })).toEqual({
    ...{ code: 4, stdout: "" },
    stderr: "letta-env: input_rejected: workspace is read-only\n",
  });
});

test("a decision that the server refused was not made", async () => {
  const { env } = await start((_request, response) =>
    reply(response, 401, { errorCode: "invalid_key", message: "no" }),
  );
  expect(await runCli(["approvals", "deny", "t1"], { env })).toMatchObject({ code: 4, stdout: "" });
});

test.each([
  [["stop", "d1"], "stop"],
  [["mode", "d1", "standard"], "mode"],
])(
  "the command %j without a response has an unknown outcome, and is not repeated, because a repeat could affect a later turn",
  async (words, path) => {
    const { env, url, posts } = await start(hangUp);
    const { code, stdout, stderr } = await runCli([...words, "--agent", "a1"], { env });
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(stderr).toBe(
      `letta-env: no response from ${url} to the request: the connection broke\n` +
        "Check the device before you run the command again: it would act on whatever runs then.\n",
    );
    expect(posts().map(({ target }) => target)).toEqual([`/v1/environments/c1/${path}`]);
  },
);

test("a stop whose result the server does not know is unknown, even if the server allows a repeat", async () => {
  const { env, posts } = await start((_request, response) =>
    reply(response, 504, { errorCode: "control_unknown", message: "no answer" }, { "x-should-retry": "true" }),
  );
  expect(await runCli(["stop", "d1", "--agent", "a1"], { env })).toMatchObject({ code: 5 });
  expect(posts()).toHaveLength(1);
});

test.each([
  [503, "overloaded"],
  [504, "upstream_timeout"],
])("a stop whose every attempt was refused with %d %s had no effect", async (status, errorCode) => {
  const { env } = await start((_request, response) =>
    reply(response, status, { errorCode, message: "busy" }, { "retry-after-ms": "1" }),
  );
  expect(await runCli(["stop", "d1", "--agent", "a1"], { env })).toMatchObject({ code: 7 });
});

const send = ["send", "d1", "--agent", "a1", "--message-id", "m1", "hi"];
const repeatSend = "Repeat the same command with --message-id m1 to get the outcome; the message runs once.\n";

test("a message whose first response was lost is unknown and its id is printed, even if a proxy responds to the repeats with its own 429", async () => {
  const { env, url, posts } = await serve(({ method }, response) => {
    response.setHeader("x-message-deduplication", "86400");
    if (method === "GET") reply(response, 200, rowOf("c1"));
    else if (posts().length === 1) response.socket?.destroy();
    else response.writeHead(429, { "content-type": "text/html" }).end("<html>Too Many Requests</html>");
  });
  const { code, stdout, stderr } = await runCli(send, { env });
  expect({ code, stdout }).toEqual({ code: 5, stdout: "unknown\tm1\td1\n" });
  expect(stderr).toContain(`letta-env: http_error: HTTP 429 from ${url}\n${repeatSend}`);
  expect(posts()).toHaveLength(3);
});

test.each([
  [send, "unknown\tm1\td1\n", repeatSend],
  [
    ["approve", "d1", "--agent", "a1", "--request", "t1"],
    "unknown\t\td1\n",
    "A decision cannot be repeated safely: check what the device did first.\n",
  ],
  [["approvals", "allow", "t1"], "", "'letta-env approvals' shows whether the request still waits.\n"],
  [
    ["stop", "d1", "--agent", "a1"],
    "",
    "Check the device before you run the command again: it would act on whatever runs then.\n",
  ],
])(
  "a 429 from a server that does not announce deduplication leaves %j unknown, and only the hint mentions a repeat",
  async (words, stdout, hint) => {
    const { env, posts } = await start((_request, response) => reply(response, 429, { message: "Too many." }));
    const { stderr, ...result } = await runCli([...words, "--verbose"], { env });
    expect(result).toEqual({ code: 5, stdout });
    expect(stderr).toBe(`letta-env: http_error: Too many (HTTP 429)\n${hint}  status: 429\n  code: http_error\n`);
    expect(posts()).toHaveLength(1);
  },
);

test("Ctrl-C during a stop does not say that nothing was sent", async () => {
  let arrived: () => void = () => undefined;
  const sent = new Promise<void>((resolve) => (arrived = resolve));
  const { env } = await start(() => arrived());
  const cli = startCli(["stop", "d1", "--agent", "a1"], { env });
  await sent;
  cli.signal("SIGINT");
  expect(await cli.result).toMatchObject({
    code: 130,
    stderr:
      "letta-env: ended after the request was sent; it is not known whether the device received it\nCheck the device before you run the command again: it would act on whatever runs then.\n",
  });
});

const followed = ["send", "d1", "--agent", "a1", "--message-id", "m1", "--follow", "hi"];
const followAgain = "Repeat the same command with --message-id m1 to follow it again.\n";

/** Starts a server that opens a stream of events and accepts a message; `then` is called with the open stream. */
function accept(then: (stream: ServerResponse) => void, answer: Answer): Promise<FakeServer> {
  let stream: ServerResponse | undefined;
  let isAccepted = false;
  return start((request, response) => {
    if (request.target.includes("/events") && stream === undefined) {
      stream = response.writeHead(200, { "content-type": "text/event-stream" });
      stream.write(": hello\n\n");
    } else if (request.method === "POST") {
      isAccepted = true;
      reply(response, 200, { success: true, message: "ok", disposition: "started" });
      if (stream !== undefined) then(stream);
    } else if (!isAccepted) reply(response, 404, { errorCode: "message_not_found", message: "no" });
    else answer(request, response);
  });
}

test("events without their documented member are skipped, and the turn is followed to its end", async () => {
  const event = (type: string, data: object): string => `id: 1\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  const message = { agentId: "a1", clientMessageId: "m1", conversationId: "default", deviceId: "d1" };
  const output = { agentId: "a1", conversationId: "default" };
  const { env } = await accept(
    (stream) =>
      stream.write(
        [
          event("message", {}),
          event("message", { message: { ...message, state: "running" } }),
          ...[output, { ...output, delta: null }].map((data) => event("output", data)),
          event("approval", { change: "requested", approval: null }),
          event("message", { message: { ...message, state: "finished", stopReason: "end_turn" } }),
        ].join(""),
      ),
    hangUp,
  );
  expect(await runCli(followed, { env })).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("a turn whose status cannot be read after a gap is unknown, and the message id follows it again", async () => {
  const { env } = await accept(
    (stream) => stream.write('id: 1\nevent: gap\ndata: {"reason":"expired"}\n\n'),
    (_request, response) =>
      reply(
        response,
        503,
        { errorCode: "storage_unavailable", message: "storage unavailable" },
        { "retry-after-ms": "1" },
      ),
  );
  const { code, stderr } = await runCli(followed, { env });
  expect(code).toBe(5);
  expect(stderr).toBe(
    "some of the output is missing here\n" +
      "letta-env: the message was sent, but its turn cannot be followed: storage_unavailable; try again in 1 s\n" +
      followAgain,
  );
});

test("a turn whose events are refused after the message was accepted is unknown, not refused", async () => {
  const { env } = await accept(
    (stream) => stream.end(),
    (_request, response) => reply(response, 401, { errorCode: "invalid_key", message: "The key is not valid." }),
  );
  const { code, stderr } = await runCli(followed, { env });
  expect(code).toBe(5);
  expect(stderr).toBe(
    "letta-env: the message was sent, but its turn cannot be followed: invalid_key: The key is not valid\n" +
      followAgain,
  );
});

test("events that are refused for a while are reported, and the turn is followed to its end", async () => {
  const message = { agentId: "a1", clientMessageId: "m1", conversationId: "default", deviceId: "d1" };
  let refusals = 0;
  const { env } = await accept(
    (stream) => stream.end("id: 1\n\n"),
    (_request, response) => {
      if ((refusals += 1) === 1)
        return reply(response, 503, { errorCode: "overloaded", message: "Busy." }, { "retry-after-ms": "10" });
      const data = JSON.stringify({ message: { ...message, state: "finished", stopReason: "end_turn" } });
      response
        .writeHead(200, { "content-type": "text/event-stream" })
        .write(`id: 2\nevent: message\ndata: ${data}\n\n`);
    },
  );
  expect(await runCli(followed, { env })).toEqual({
    code: 0,
    stdout: "",
    stderr: "the server sends no events (overloaded: Busy; try again in 1 s); waiting\n",
  });
});

test("a message that was sent before is unknown, not refused, when its status cannot be read", async () => {
  let reads = 0;
  const { env } = await start(({ method, target }, response) => {
    if (target.includes("/events"))
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": hello\n\n");
    else if (method === "POST")
      reply(response, 200, { success: true, message: "ok" }, { "idempotency-replayed": "true" });
    else if ((reads += 1) === 1) reply(response, 404, { errorCode: "message_not_found", message: "no" });
    else reply(response, 403, { errorCode: "insufficient_scope", message: "no" });
  });
  expect(await runCli(followed, { env })).toMatchObject({ code: 5, stderr: expect.stringContaining(followAgain) });
});

test.each([
  [429, "rate_limited"],
  [503, "overloaded"],
])(
  "if the event stream keeps being refused with %d, the command ends after --timeout, before anything is sent",
  async (status, errorCode) => {
    const { env, posts } = await start((_request, response) =>
      reply(response, status, { errorCode, message: "Come back later." }, { "retry-after-ms": "10" }),
    );
    expect(await runCli([...followed, "--timeout", "2s"], { env })).toEqual({
      code: 7,
      stdout: "",
      stderr: `letta-env: the stream of events did not open within 2s, and nothing was sent: ${errorCode}: Come back later; try again in 1 s\n`,
    });
    expect(posts()).toEqual([]);
  },
);
