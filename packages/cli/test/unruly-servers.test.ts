/** `letta-env` against servers and devices that change under it, answer less than promised, or have another clock. */
import { expect, test } from "vitest";
import { reply, rowOf, serve } from "./support/fake-server.ts";
import { runCli } from "./support/run-cli.ts";

const hourMs = 3_600_000;
const send = ["send", "d1", "--agent", "a1", "--message-id", "m1", "hi"];

const usual = (timeMs: number): string => new Date(timeMs).toUTCString();
const asctime = (timeMs: number): string => usual(timeMs).replace(/,( \d+)( \w+)( \d+)(.*) GMT/, "$2$1$4$3");

test.each([
  [-1, "the usual format", usual],
  [1, "the usual format", usual],
  [0, "that of asctime", asctime],
])("a local clock that is %d h away from the server's, in %s, leaves devices online", async (hours, _name, format) => {
  const server = await serve(({ method, target }, response) => {
    const nowMs = Date.now() + hours * hourMs;
    const header = { date: format(nowMs) };
    const device = rowOf("c1", { lastHeartbeat: nowMs, lastSeenAt: nowMs });
    if (method === "POST") reply(response, 200, { success: true, message: "ok", disposition: "started" }, header);
    else if (target.includes("/d1")) reply(response, 200, device, header);
    else reply(response, 200, { connections: [device], hasNextPage: false }, header);
  });
  const env = { ...server.env, TZ: "America/New_York" };
  expect((await runCli(["list"], { env })).stdout).toMatch(/^d1\tlaptop\tonline\t/);
  expect((await runCli(["get", "d1"], { env })).stdout).toContain("\nstatus\tonline\n");
  expect(await runCli(send, { env })).toMatchObject({ code: 0, stdout: "started\tm1\td1\n" });
});

test("a device that has not been seen for an hour is offline, even if the local clock is an hour slow", async () => {
  const { env } = await serve((_request, response) => {
    const header = { date: new Date(Date.now() + hourMs).toUTCString() };
    reply(response, 200, rowOf("c1"), header);
  });
  const { code, stderr } = await runCli(send, { env });
  expect(code).toBe(3);
  // `Date` has whole seconds.
  expect(stderr).toMatch(
    /^letta-env: laptop is offline \(last seen (?:59m|1h) ago\); nothing was sent\n--wait-online waits for it\.\n$/,
  );
});

test.each([{ Name: ["is odd"] }, ["is odd", null, { field: "name" }], "odd"])(
  "validation errors in an unknown format, %j, are left out of the error text",
  async (errors) => {
    const { env } = await serve((_request, response) =>
      reply(response, 400, { title: "Bad request", detail: "Odd.", errors }),
    );
    const { code, stderr } = await runCli(["list"], { env });
    expect([code, stderr]).toEqual([2, "letta-env: http_error: Odd (HTTP 400)\n"]);
  },
);

test.each(["connection_replaced", "connection_not_found", "device_offline"])(
  "a message goes to the connection that the device has now, and the output names it: %s",
  async (errorCode) => {
    let connectionId = "old";
    const { env } = await serve(({ method, target }, response) => {
      if (method === "GET") reply(response, 200, rowOf(connectionId));
      else if (target.includes("/old/")) {
        connectionId = "new";
        reply(response, 409, { errorCode, message: "gone" });
      } else reply(response, 200, { success: true, message: "ok", disposition: "queued" });
    });
    const { code, stdout } = await runCli([...send, "--json"], { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ outcome: "queued", messageId: "m1", deviceId: "d1", connectionId: "new" });
  },
);

test("if nothing was sent to the old connection and the new one cannot be found, the outcome is not unknown", async () => {
  let isLost = false;
  const { env } = await serve(({ method }, response) => {
    if (method === "POST") {
      isLost = true;
      reply(response, 409, { errorCode: "connection_replaced", message: "replaced" });
    } else if (isLost) reply(response, 503, {}, { "retry-after": "100" });
    else reply(response, 200, rowOf("old"));
  });
  const { code, stdout, stderr } = await runCli(send, { env });
  expect({ code, stdout }).toEqual({ code: 7, stdout: "" });
  expect(stderr).toMatch(/^letta-env: http_error: HTTP 503 from http:.*\n$/);
});

test("--wait-online survives temporary server failures", async () => {
  let looks = 0;
  const { env } = await serve(({ method }, response) => {
    if (method === "POST") return reply(response, 200, { success: true, message: "ok" });
    looks += 1;
    if (looks > 2 && looks < 6) return void response.socket?.destroy();
    reply(response, 200, rowOf(looks < 3 ? null : "c1"));
  });
  expect(await runCli([...send, "--wait-online"], { env })).toMatchObject({ code: 0, stdout: "accepted\tm1\td1\n" });
});

test("a success without documented members is a success, and one with success: false is a refusal", async () => {
  let answer: object = { success: true };
  const { env } = await serve(({ method }, response) => reply(response, 200, method === "GET" ? rowOf("c1") : answer));
  expect(await runCli(send, { env })).toEqual({ code: 0, stdout: "accepted\tm1\td1\n", stderr: "" });
  answer = { success: false };
  expect(await runCli(send, { env })).toMatchObject({ code: 4, stdout: "" });
});

test("two rows of one device are one device: its name selects it once, and its live connection counts", async () => {
  const rows = [
    rowOf(null, { connectionName: "my box", lastHeartbeat: null }),
    rowOf("c2", { id: "e2", connectionName: "my box" }),
  ];
  const { env, posts } = await serve(({ method, target }, response) => {
    if (method === "POST") reply(response, 200, { success: true, message: "ok" });
    else if (target.includes("/d1")) reply(response, 200, rows[1]);
    else reply(response, 200, { connections: rows, hasNextPage: false });
  });
  expect((await runCli(["get", "my box"], { env })).stdout).toContain("connectionId\tc2\n");
  expect((await runCli(["send", "my box", "--agent", "a1", "hi"], { env })).code).toBe(0);
  expect(posts().map(({ target }) => target)).toEqual(["/v1/environments/c2/messages"]);
});

test("a key with the scopes list and send, but not read, can send to a device by name and by id", async () => {
  const { env } = await serve(({ method, target }, response) => {
    if (method === "POST") reply(response, 200, { success: true, message: "ok" });
    else if (/environments\/./.test(target)) reply(response, 403, { errorCode: "insufficient_scope", message: "no" });
    else reply(response, 200, { connections: [rowOf("c1")], hasNextPage: false });
  });
  for (const device of ["d1", "laptop"]) {
    expect((await runCli(["send", device, "--agent", "a1", "hi"], { env })).code).toBe(0);
  }
});

test.each([
  [502, "text/html", 7],
  [504, "text/html", 7],
  [500, "text/html", 1],
  [404, "text/html", 1],
  [403, "text/html", 4],
])("a response %d without a problem code is reported by its status", async (status, type, code) => {
  const { env } = await serve((_request, response) => {
    response.writeHead(status, { "content-type": type, "retry-after": "100" }).end("<html>secret page</html>");
  });
  const result = await runCli(["list"], { env });
  expect(result.code).toBe(code);
  expect(result.stderr).toMatch(new RegExp(`^letta-env: http_error: HTTP ${status} from http:[^(]*$`, "m"));
});
