/** The lane in front of the HTTP server, over real sockets: order, hand-over, limits, timeouts, stopping. */
import { once } from "node:events";
import { randomId, systemClock } from "@letta-environments/platform/node";
import type { PlainResponse } from "@letta-environments/schema";
import { afterEach, expect, test } from "vitest";
import { createAdmission } from "../../src/host/node/admission.ts";
import { type DrainingServer, trackServer } from "../../src/host/node/drain.ts";
import { createHttpServer, defaultServerTimeouts, type ServerTimeouts } from "../../src/host/node/http-server.ts";
import { createLane } from "../../src/host/node/lane/lane.ts";
import type { GatewayRequest } from "../../src/http/gateway-request.ts";
import type { MaybePromise } from "../../src/lib/steps.ts";
import { listen } from "../../src/runtimes/node/listen.ts";
import { openSocket, parseResponse, readToEnd } from "../support/raw-http.ts";

interface LaneUnderTest {
  readonly url: string;
  readonly connections: DrainingServer;
  readonly failures: unknown[];
  /** How many requests the lane answered itself, and how many the HTTP server behind it. */
  readonly answered: { lane: number; server: number };
}

let opened: LaneUnderTest | null = null;
afterEach(async () => {
  await opened?.connections.close();
  opened = null;
});

async function open(
  handle: (request: GatewayRequest) => MaybePromise<PlainResponse>,
  { timeouts = {}, maxConnections = 100 }: { timeouts?: Partial<ServerTimeouts>; maxConnections?: number } = {},
): Promise<LaneUnderTest> {
  const failures: unknown[] = [];
  const options = {
    pipeline: { handle },
    routes: [],
    randomId,
    timeouts: { ...defaultServerTimeouts, ...timeouts },
    admission: createAdmission({ clock: systemClock, maxConnections, onOverload: () => undefined }),
    isBehindLane: true,
    onFailure: (cause: unknown) => void failures.push(cause),
  };
  const server = createHttpServer(options);
  const lane = createLane(server, options);
  const answered = { lane: 0, server: 0 };
  lane.on("request", () => (answered.lane += 1));
  server.on("request", () => (answered.server += 1));
  const connections = trackServer(server, lane);
  opened = { url: await listen(lane, { host: "127.0.0.1", port: 0 }), connections, failures, answered };
  return opened;
}

function read(path: string, method = "GET"): string {
  return `${method} /v1/${path} HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n`;
}

const ok = (body: string): PlainResponse => ({ status: 200, headers: { "x-request-id": "id" }, body });
const echo = ({ path }: GatewayRequest): PlainResponse => ok(`<${path}>`);

/** The bodies of responses whose body is a path in angle brackets. */
function bodiesIn(text: string): readonly string[] {
  return [...text.matchAll(/<\/v1\/([^>]*)>/g)].map(([, path = ""]) => path);
}

async function exchange(url: string, ...pieces: readonly string[]): Promise<string> {
  const socket = await openSocket(url);
  const received = readToEnd(socket);
  for (const piece of pieces) socket.write(piece, "latin1");
  socket.end();
  return received;
}

test("pipelined reads are answered in order, those that wait for the upstream too", async () => {
  const { url, answered } = await open(async (request) => {
    for (let turns = request.path.endsWith("slow") ? 20 : 0; turns > 0; turns--) await new Promise(setImmediate);
    return echo(request);
  });
  const paths = ["slow", "a", "slow", "b", "c"];
  expect(bodiesIn(await exchange(url, paths.map((path) => read(path)).join("")))).toEqual(paths);
  expect(answered).toEqual({ lane: 5, server: 0 });
});

test("from the first request that is not recognised, the HTTP server answers, behind the responses of the lane", async () => {
  const { url, answered } = await open(async (request) => {
    await new Promise(setImmediate);
    return echo(request);
  });
  const close = read("c").replace("Accept: */*", "Connection: close");
  const text = await exchange(url, read("a"), `${read("b")}${close}`);
  expect(bodiesIn(text)).toEqual(["a", "b", "c"]);
  expect(answered).toEqual({ lane: 2, server: 1 });
});

test("a request that arrives in pieces is answered once, by the HTTP server", async () => {
  for (const at of [1, 4, 9, 20, 30, read("a").length - 1]) {
    const { url, answered, connections } = await open(echo);
    const socket = await openSocket(url);
    const received = readToEnd(socket.setNoDelay());
    socket.write(read("a").slice(0, at));
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    socket.end(read("a").slice(at));
    expect(bodiesIn(await received)).toEqual(["a"]);
    expect(answered.lane + answered.server).toBe(1);
    await connections.close();
  }
});

test("a caller that disconnects aborts its request", async () => {
  let arrived = (_request: GatewayRequest): void => undefined;
  const waiting = new Promise<GatewayRequest>((resolve) => (arrived = resolve));
  const { url } = await open((request) => {
    arrived(request);
    return new Promise(() => undefined);
  });
  const socket = await openSocket(url);
  socket.write(read("a"));
  const { signal } = await waiting;
  expect(signal.aborted).toBe(false);
  socket.resetAndDestroy();
  await once(signal, "abort");
});

test("a header field that must not be written becomes 500 and is reported", async () => {
  const { url, failures } = await open(() => ({ status: 200, headers: { "x-bad": "a\r\nb: c" }, body: "x" }));
  const response = parseResponse(await exchange(url, read("a")));
  expect([response.status, response.headers["connection"], failures.length]).toEqual([500, "close", 1]);
  expect(response.headers).not.toHaveProperty("b");
});

test("a caller that does not read its responses stops the lane from answering more of them", async () => {
  let handled = 0;
  const large = ok(`<${"x".repeat(60_000)}>`);
  const { url } = await open(() => {
    handled += 1;
    return large;
  });
  const count = 400;
  const socket = await openSocket(url);
  socket.pause();
  socket.write(read("a").repeat(count));
  await expect.poll(() => handled).toBeGreaterThan(0);
  // What waits is in the buffers of the system: some MB of the 24 MB.
  expect(handled).toBeLessThan(count / 2);
  let length = 0;
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      length += chunk.byteLength;
      if (length > count * 60_000) resolve();
    });
    socket.resume();
  });
  expect(handled).toBe(count);
  socket.destroy();
});

const strict = { headersMs: 40, requestMs: 40, keepAliveMs: 80, checkIntervalMs: 10 };

test.each([
  ["sends nothing", "", [408]],
  ["sends a part of a head", "GET /v1/a HT", [408]],
  ["sends a part of a head behind a read", `${read("a")}GET /v1/a HT`, [200, 408]],
  ["sends a part of a body", "POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", [408]],
  ["sends nothing behind a read", read("a"), [200]],
  ["sends nothing behind a request of the HTTP server", read("a").replace("Accept: ", "Accept:"), [200]],
])("the connection of a caller that %s is closed", async (_what, text, statuses) => {
  const handle = async (request: GatewayRequest): Promise<PlainResponse> => {
    if (request.method === "POST") await request.readBody(10);
    return echo(request);
  };
  const { url } = await open(handle, { timeouts: strict });
  const socket = await openSocket(url);
  const received = readToEnd(socket);
  if (text !== "") socket.write(text);
  expect([...(await received).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))).toEqual(statuses);
});

test("a connection counts once, also when it is handed over, and those over the limit are closed", async () => {
  const { url } = await open(echo, { maxConnections: 3 });
  const handedOver = await openSocket(url);
  handedOver.write(read("a").replace("Accept: ", "Accept:"));
  await once(handedOver, "data");
  const [second, third] = [await openSocket(url), await openSocket(url)];
  third.write(read("a"));
  // Above 80 % of the connections, none stays open between requests.
  expect(parseResponse(await readToEnd(third))).toMatchObject({ status: 200, headers: { connection: "close" } });
  const [again, tooMany] = [await openSocket(url), await openSocket(url)];
  expect(await readToEnd(tooMany)).toBe("");
  again.write(read("a"));
  expect(parseResponse(await readToEnd(again)).status).toBe(200);
  second.destroy();
  handedOver.destroy();
});

test("a request that is not admitted is 503 with the caller's request id, and the connection stays open", async () => {
  const { url } = await open(() => new Promise(() => undefined), { maxConnections: 10 });
  const busy = await Promise.all(Array.from({ length: 8 }, () => openSocket(url)));
  for (const socket of busy) socket.write(read("environments/a"));
  const socket = await openSocket(url);
  socket.write(read("environments").replace("Accept: */*", "X-Request-Id: mine"));
  const [chunk] = (await once(socket, "data")) as [Buffer];
  const { status, headers } = parseResponse(chunk.toString("latin1"));
  expect([status, headers["x-request-id"], headers["retry-after"]]).toEqual([503, "mine", "1"]);
  for (const each of [...busy, socket]) each.destroy();
});

test("a lane that stops closes idle connections, finishes requests in progress, and accepts no new connection", async () => {
  let release = (): void => undefined;
  let arrived = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const waiting = new Promise<void>((resolve) => (arrived = resolve));
  const { url, connections } = await open((request) => {
    if (!request.path.endsWith("slow")) return echo(request);
    arrived();
    return held.then(() => echo(request));
  });
  const [idle, busy] = [await openSocket(url), await openSocket(url)];
  idle.write(read("a"));
  await once(idle, "data");
  busy.write(read("slow"));
  await waiting;
  const finished = connections.finishRequests(60_000);
  await once(idle, "close");
  await expect(openSocket(url)).rejects.toThrow("ECONNREFUSED");
  release();
  const [chunk] = (await once(busy, "data")) as [Buffer];
  expect(bodiesIn(chunk.toString("latin1"))).toEqual(["slow"]);
  await finished;
  await connections.close();
});
