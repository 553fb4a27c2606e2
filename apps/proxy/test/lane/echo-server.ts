/**
 * A program for each runtime: the HTTP server of the gateway twice, once behind a lane, in front of a pipeline that responds with all that it can see of a
 * request. It prints the two ports, and at the end of its input how many requests the lane answered.
 */
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import process from "node:process";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { createHttpServer, defaultServerTimeouts } from "../../src/host/node/http-server.ts";
import { createLane } from "../../src/host/node/lane/lane.ts";
import type { GatewayRequest } from "../../src/http/gateway-request.ts";
import { finishResponse } from "../../src/http/response.ts";
import type { MaybePromise } from "../../src/lib/steps.ts";

const readNames =
  "host authorization accept x-request-id if-none-match connection cookie cache-control origin content-type __proto__ constructor transfer_encoding x-0".split(
    " ",
  );

async function echo(request: GatewayRequest): Promise<PlainResponse> {
  const body = request.method === "GET" || request.method === "HEAD" ? null : await request.readBody(1_000);
  const { method, path, query, authority } = request;
  const seen = {
    ...{
      method,
      path,
      query,
      authority,
      body: body instanceof Uint8Array ? Buffer.from(body).toString("latin1") : body,
    },
    fields: readNames.map((name) => request.header(name)),
    padding: path === "/v1/large" ? "x".repeat(20_000) : "",
  };
  return finishResponse(
    { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(seen) },
    "id",
    method,
  );
}

function echoNow(request: GatewayRequest): PlainResponse {
  const { method, path, query, authority } = request;
  const fields = readNames.map((name) => request.header(name));
  const body = JSON.stringify({
    method,
    path,
    query,
    authority,
    body: null,
    fields,
    padding: path === "/v1/large" ? "x".repeat(20_000) : "",
  });
  if (query === "limit=2") return finishResponse(problemResponse("invalid_key"), "id", method);
  if (path === "/v1/environments/device-1")
    return finishResponse({ status: 304, headers: { etag: '"a"' }, body: null }, "id", method);
  return finishResponse({ status: 200, headers: { "content-type": "application/json" }, body }, "id", method);
}

const pipeline = {
  handle: (request: GatewayRequest): MaybePromise<PlainResponse> =>
    (request.method !== "GET" && request.method !== "HEAD") || request.path === "/v1/slow"
      ? echo(request)
      : echoNow(request),
};

async function open(hasLane: boolean): Promise<Server> {
  // Deno never ends a response that waits behind another one on a connection that is dropped; admission would count it for ever.
  const admission = {
    accept: () => undefined,
    admit: () => null,
    admitStream: () => true,
    hasRoomForDevices: () => true,
  };
  const options = {
    pipeline,
    routes: [],
    randomId: (prefix: string) => `${prefix}_1`,
    timeouts: defaultServerTimeouts,
    admission,
    isBehindLane: hasLane,
    onFailure: (cause: unknown) => void process.stderr.write(`${String(cause)}\n`),
  };
  const server = createHttpServer(options);
  const listener = hasLane ? createLane(server, options) : server;
  if (hasLane) listener.on("request", () => (answered += 1));
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return listener;
}

let answered = 0;
const ports = (await Promise.all([open(false), open(true)])).map((server) => (server.address() as AddressInfo).port);
process.stdout.write(`ports ${ports.join(" ")}\n`);
process.stdin
  .on("data", () => undefined)
  .on("end", () => {
    process.stdout.write(`answered ${answered}\n`, () => process.exit(0));
  });
