import type { UpstreamFetch } from "../../../src/ports.ts";
import type { RecordedRequest, Topic } from "../topic.ts";
import { messageBody, remoteServer, scriptUpstream, send } from "./shared.ts";

const upstream = scriptUpstream();
const never: UpstreamFetch = () => new Promise(() => undefined);

function responds(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): UpstreamFetch {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return () => Promise.resolve({ status, headers: { "content-type": "application/json", ...headers }, body: text });
}

/** A list, a row, and an accepted send as well, so that it is a success of each request. */
const found = {
  ...{ id: "1", deviceId: "laptop", connectionName: "laptop", connections: [], hasNextPage: false },
  ...{ success: true, message: "ok" },
};
const ours = {
  type: "urn:letta-environments:problem:device_offline",
  errorCode: "device_offline",
  message: "Remote environment is offline; nothing was sent.",
};

const responses: readonly (readonly [title: string, fetch: UpstreamFetch])[] = [
  ["unreachable", () => Promise.resolve({ reason: "unreachable", cause: null })],
  ["a broken connection", () => Promise.resolve({ reason: "broken", cause: null })],
  ["a response that is too large", () => Promise.resolve({ reason: "too_large", cause: null })],
  ["an exception", () => Promise.reject(new Error("secret text"))],
  ...[201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 599, 600].map(
    (status) => [`status ${status}`, responds(status, { message: `text of ${status}` })] as const,
  ),
  ["an error page", responds(500, "<html>Oops</html>", { "content-type": "text/html" })],
  ["an error without a body", responds(500, "")],
  ["an error with the member error", responds(422, { error: "text of error" })],
  ["an error with the member detail", responds(422, { detail: "text of detail" })],
  ["an error with a list as detail", responds(422, { detail: [{ loc: ["x"] }] })],
  ["an error with control characters", responds(400, { message: "a\r\nb\u0000c" })],
  ["an error with the credential", responds(400, { message: "bad key sk-upstream-credential" })],
  ["a long error", responds(400, { message: "x".repeat(1_000) })],
  ["a retry after seconds", responds(503, {}, { "retry-after": "7" })],
  ["a retry after a date", responds(503, {}, { "retry-after": "Fri, 15 Jan 2027 08:00:00 GMT" })],
  ["a retry after nonsense", responds(503, {}, { "retry-after": "soon" })],
  ["x-should-retry true", responds(409, {}, { "x-should-retry": "true" })],
  ["x-should-retry false", responds(503, {}, { "x-should-retry": "false" })],
  ["a problem of ours", responds(409, ours)],
  ["a problem of ours with another status", responds(400, ours)],
  ["a problem of ours with another type", responds(409, { ...ours, type: "x" })],
  ["limits of its own", responds(429, {}, { ratelimit: '"theirs";r=0;t=9', "x-ratelimit-limit": "5" })],
  ["a success with limits of its own", responds(200, found, { "ratelimit-policy": '"theirs";q=5;w=60' })],
  ["a success with malformed limits", responds(200, found, { ratelimit: "@nonsense" })],
  ["a success that deduplicates", responds(200, found, { "x-message-deduplication": "86400" })],
  ["a success that was replayed", responds(200, found, { "idempotency-replayed": "true" })],
  ["a success with other headers", responds(200, found, { "set-cookie": "a=b", server: "x", etag: '"x"' })],
  ["a success that is a page", responds(200, "<html>", { "content-type": "text/html" })],
  ["a success without a body", responds(200, "")],
  ["a success that breaks off", responds(200, '{"connections":[')],
  ["a success that is an array", responds(200, [])],
  ["a success of another shape", responds(200, { connections: [{ id: 5 }], hasNextPage: false })],
  ["a success without a content type", () => Promise.resolve({ status: 200, headers: {}, body: "{}" })],
];

/** The lookup of a connection succeeds, so that a send reaches the response under test. */
function exceptLookUp(fetch: UpstreamFetch): UpstreamFetch {
  return (request, signal) => (request.method === "POST" ? fetch : remoteServer)(request, signal);
}

function afterResponse([title, fetch]: (typeof responses)[number]): readonly RecordedRequest[] {
  const use = (current: UpstreamFetch) => () => void (upstream.current = current);
  return [
    { title: `${title}: list`, as: "plain", before: use(fetch) },
    { title: `${title}: list of a limited key`, as: "one device", before: use(fetch) },
    { title: `${title}: device`, as: "plain", path: "/v1/environments/laptop", before: use(fetch) },
    {
      title: `${title}: device of a limited key`,
      as: "pattern",
      path: "/v1/environments/ci-machine",
      before: use(fetch),
    },
    {
      title: `${title}: send`,
      as: "plain",
      ...send("conn-laptop", messageBody("m")),
      before: use(exceptLookUp(fetch)),
    },
  ];
}

export const upstreamResponses: Topic = {
  name: "upstream-responses",
  gateway: { upstream: upstream.fetch },
  isolatesRequests: true,
  keys: {
    plain: { scopes: ["list", "read", "send", "details"] },
    "one device": { scopes: ["list", "read", "send"], deviceIds: ["laptop"] },
    pattern: { scopes: ["list", "read", "send"], connectionNames: ["ci-*"] },
  },
  requests: [
    ...responses.flatMap(afterResponse),
    {
      title: "the look-up of a connection fails",
      as: "one device",
      ...send("conn-other", messageBody("m")),
      before: () => void (upstream.current = responds(500, {})),
    },
    {
      title: "no response to a list",
      as: "plain",
      whileWaitingMs: 30_000,
      before: () => void (upstream.current = never),
    },
    { title: "no response to a device", as: "plain", path: "/v1/environments/laptop", whileWaitingMs: 30_000 },
    { title: "no response to a look-up", as: "plain", ...send("conn-new", messageBody("m")), whileWaitingMs: 30_000 },
    {
      title: "no response to a send",
      as: "plain",
      ...send("conn-laptop", messageBody("m")),
      whileWaitingMs: 30_000,
      before: () => void (upstream.current = exceptLookUp(never)),
    },
    {
      title: "a caller who disconnects during a send",
      as: "plain",
      ...send("conn-laptop", messageBody("m")),
      isAbandoned: true,
      whileWaitingMs: 30_000,
    },
    {
      title: "a caller who disconnects during a list",
      as: "plain",
      isAbandoned: true,
      before: () => void (upstream.current = never),
    },
  ],
};
