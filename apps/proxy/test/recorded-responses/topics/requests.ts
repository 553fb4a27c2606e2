import type { RecordedRequest, Topic } from "../topic.ts";
import { approvalBody, messageBody, remoteServer, send } from "./shared.ts";

const as = "everything";
const user = { role: "user", content: "x", client_message_id: "m" };

const methods = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];
const wrongMethods: readonly RecordedRequest[] = [
  ...methods.map((method): RecordedRequest => ({ title: `${method} of the list`, as, method })),
  ...methods.map((method): RecordedRequest => ({
    title: `${method} of a device`,
    as,
    method,
    path: "/v1/environments/laptop",
  })),
  ...["GET", "PUT", "DELETE", "OPTIONS"].map((method): RecordedRequest => ({
    title: `${method} of messages`,
    as,
    method,
    path: "/v1/environments/c/messages",
  })),
  ...["POST", "DELETE"].map((method): RecordedRequest => ({
    title: `${method} of the rate limits`,
    as,
    method,
    path: "/v1/ratelimit",
  })),
];

const paths = [
  ["/", "/v1", "/v1/", "/v2/environments", "/V1/environments", "/v1/Environments", "//v1/environments"],
  ["/v1/environments/", "/v1/environments//", "/v1/environments/laptop/", "/v1/environments/laptop/nothing"],
  ["/v1/environments/.", "/v1/environments/..", "/v1/environments/%2e%2e", "/v1/environments/..%2fagents"],
  [
    "/v1/environments/a%00b",
    "/v1/environments/a%0d%0ab",
    "/v1/environments/a b",
    "/v1/environments/%",
    "/v1/environments/%zz",
  ],
  [
    "/v1/environments/a%3Fb",
    "/v1/environments/ä",
    "/v1/environments/%C3%A4",
    "/v1/environments/a;b",
    "/v1/environments/a%252e",
  ],
  ["/v1/environments/register", "/v1/environments/laptop/socket", "/v1/../v1/environments", "/v1/environments\\x"],
  [
    "/v1/environments/lap%74op",
    "/v1/environments/laptop~1",
    "/favicon.ico",
    "/livez/",
    "/admin",
    "/admin/v1",
    "/admin/v1/nothing",
  ],
].flat();

const queries = [
  ["limit=0", "limit=101", "limit=100", "limit=01", "limit=1.5", "limit=-1", "limit=", "limit=abc", "limit=1&limit=2"],
  ["after=", "after=row-1", "after=../x", `after=${"x".repeat(129)}`, "after=a%00b", "after=row-9"],
  ["onlineOnly=true", "onlineOnly=TRUE", "onlineOnly=1", "onlineOnly="],
  [
    "source=local",
    "source=remote",
    "source=nowhere",
    "userId=u",
    "userId=",
    "future=1",
    "__proto__=x",
    "limit=%zz",
    "=x",
    "&&",
    "?",
  ],
].flat();

const ids = ["..", ".", "a%2fb", "%2e%2e", "a b", "x".repeat(129), "conn-laptop%0a", "conn:1~_.-"];

const json = (text: string): string => JSON.stringify({ messages: [user] }).replace('"x"', text);
const bodies: readonly (readonly [title: string, body: unknown])[] = [
  ["no body", ""],
  ["JSON that breaks off", '{"messages":['],
  ["a text", '"text"'],
  ["null", "null"],
  ["an array", "[]"],
  ["an empty object", {}],
  ["bytes that are not UTF-8", new Uint8Array([0x7b, 0xff, 0x7d])],
  ["a byte order mark", `\ufeff${json('"x"')}`],
  ["no messages", { messages: [] }],
  ["messages as an object", { messages: {} }],
  ["messages as a text", { messages: "hello" }],
  ["a message as a text", { messages: ["hello"] }],
  ["a message without an id", { messages: [{ role: "user", content: "x" }] }],
  ["a message with an empty id", { messages: [{ ...user, client_message_id: "" }] }],
  ["a message with a long id", { messages: [{ ...user, client_message_id: "x".repeat(300) }] }],
  ["a message without content", { messages: [{ role: "user", client_message_id: "m" }] }],
  ["a message with a number as content", { messages: [{ ...user, content: 5 }] }],
  ["a message of another role", { messages: [{ ...user, role: "system" }] }],
  ["a message with parts", { messages: [{ ...user, content: [{ type: "text", text: "x" }] }] }],
  ["a message with an unknown part", { messages: [{ ...user, content: [{ type: "image", url: "x" }] }] }],
  ["a message with no parts", { messages: [{ ...user, content: [] }] }],
  ["two messages", { messages: [user, { ...user, client_message_id: "m-2" }] }],
  ["two messages with one id", { messages: [user, user] }],
  ["a message with an otid", { messages: [{ ...user, otid: "o" }] }],
  ["an agent as a number", messageBody("m", { agentId: 5 })],
  ["an empty agent", messageBody("m", { agentId: "" })],
  ["a long agent", messageBody("m", { agentId: "x".repeat(300) })],
  ["a conversation", messageBody("m", { conversationId: "conv-1" })],
  ["null as conversation", messageBody("m", { conversationId: null })],
  ["a number as conversation", messageBody("m", { conversationId: 5 })],
  ["unknown members", messageBody("m", { future: { x: 1 } }, { newer: true })],
  ["a __proto__ member", '{"__proto__":{"x":1},"messages":[{"role":"user","content":"x","client_message_id":"m"}]}'],
  ["a duplicate member", `{"messages":[],"messages":[${JSON.stringify(user)}]}`],
  ["a large integer", json("1").replace("1,", "9007199254740993,")],
  [
    "a large integer in an unknown member",
    '{"later":9007199254740993,"messages":[{"role":"user","content":"x","client_message_id":"m"}]}',
  ],
  ["an infinite number", '{"later":1e999,"messages":[{"role":"user","content":"x","client_message_id":"m"}]}'],
  ["a lone surrogate", json(String.raw`"\ud800"`)],
  ["deep nesting", `{"x":${"[".repeat(70)}${"]".repeat(70)}}`],
  ["more than a mebibyte", { messages: [{ ...user, content: "x".repeat(1_048_576) }] }],
  ["an approval", approvalBody()],
  ["a denial with a reason", approvalBody({ approve: false, reason: "no" })],
  ["an approval with another input", approvalBody({ updated_input: { path: "/x" } })],
  ["an approval without a call", { messages: [{ type: "approval", approvals: [{ approve: true }] }] }],
  ["no approvals", { messages: [{ type: "approval", approvals: [] }] }],
  [
    "a tool return",
    {
      messages: [
        { type: "approval", approvals: [{ type: "tool", tool_call_id: "c", status: "success", tool_return: "x" }] },
      ],
    },
  ],
  [
    "an approval beside a message",
    { messages: [user, { type: "approval", approvals: [{ approve: true, tool_call_id: "c" }] }] },
  ],
];

const headers: readonly (readonly [title: string, headers: Readonly<Record<string, string>>])[] = [
  ["no content type", { "content-type": "" }],
  ["a text as content type", { "content-type": "text/plain" }],
  ["a form", { "content-type": "application/x-www-form-urlencoded" }],
  ["a charset", { "content-type": "application/json; charset=utf-8" }],
  ["another charset", { "content-type": "application/json; charset=iso-8859-1" }],
  ["a media type with a suffix", { "content-type": "application/merge-patch+json" }],
  ["gzip", { "content-encoding": "gzip" }],
  ["identity", { "content-encoding": "identity" }],
  ["an idempotency key", { "idempotency-key": '"k-1"' }],
  ["a trace", { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=b" }],
  ["a broken trace", { traceparent: "nonsense" }],
  ["a request id", { "x-request-id": "trace-1" }],
  ["a request id with a space", { "x-request-id": "a b" }],
  ["a long request id", { "x-request-id": "x".repeat(200) }],
  ["a host that is not ours", { host: "elsewhere.example" }],
  ["forwarded addresses", { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.1" }],
];

export const requests: Topic = {
  name: "requests",
  gateway: { upstream: remoteServer },
  keys: { [as]: { scopes: ["list", "read", "send", "approve"] }, "without approve": { scopes: ["send"] } },
  requests: [
    ...wrongMethods,
    ...paths.map((path): RecordedRequest => ({ title: `path ${path}`, as, path })),
    {
      title: "a registration, which a remote server does not offer",
      as,
      method: "POST",
      path: "/v1/environments/register",
      body: {},
    },
    ...queries.map((query): RecordedRequest => ({ title: `query ${query.slice(0, 20)}`, as, query })),
    {
      title: "a query on an endpoint without parameters",
      as,
      path: "/v1/environments/laptop",
      query: "limit=abc&future=1",
    },
    ...ids.map((id): RecordedRequest => ({ title: `a send to ${id.slice(0, 20)}`, as, ...send(id, messageBody("m")) })),
    ...bodies.map(([title, body]): RecordedRequest => ({
      title: `a send with ${title}`,
      as,
      ...send("conn-laptop", body),
    })),
    { title: "an approval without the scope", as: "without approve", ...send("conn-laptop", approvalBody()) },
    {
      title: "a duplicate member that hides an approval",
      as: "without approve",
      ...send(
        "conn-laptop",
        `{"messages":${JSON.stringify([{ type: "approval", approvals: [{ approve: true, tool_call_id: "c" }] }])},"messages":[${JSON.stringify(user)}]}`,
      ),
    },
    ...headers.map(([title, given]): RecordedRequest => ({
      title: `a send with the header: ${title}`,
      as,
      headers: given,
      ...send("conn-laptop", messageBody("m")),
    })),
    { title: "a list with a body", as, body: { x: 1 } },
    { title: "an upgrade of the list", as, via: "upgrade" },
    {
      title: "an upgrade of a socket, which a remote server does not offer",
      as,
      via: "upgrade",
      path: "/v1/environments/c/socket",
    },
  ],
};
