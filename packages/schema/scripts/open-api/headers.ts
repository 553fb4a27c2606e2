/** Request and response headers of the OpenAPI document, as components to which operations refer. */
import { messageDeduplicationHeader } from "../../src/index.ts";
import { type JsonSchema, wholeNumber } from "../json-schema.ts";
import { eventIdExample } from "./examples.ts";

const text = { type: "string" };
const entityTag = { type: "string", pattern: '^(W/)?"[^"]*"$' };

/** The header with the durations of steps. Every response after the authentication can have it. */
export const timingHeader = "server-timing";

/** Every response header, by its lower-case name. */
export const responseHeaders: Readonly<Record<string, JsonSchema>> = {
  "x-request-id": {
    description:
      "The id of the request: the caller's own `X-Request-Id` if it is valid, else a new one. The log has it too.",
    schema: text,
    example: "req-01m8aa707qbb50pxwvz05m3pdp",
  },
  "cache-control": {
    description: "Responses depend on the key, so shared caches must not store them.",
    schema: text,
    example: "private, no-store",
  },
  etag: {
    description: "The entity tag, for `If-None-Match`. Present if the server caches reads.",
    schema: entityTag,
    example: 'W/"kD2v0Qx1"',
  },
  age: {
    description: "The age of a cached response in seconds (RFC 9111).",
    schema: { ...wholeNumber, minimum: 0 },
    example: 1,
  },
  "cache-status": {
    description: "Whether the response came from the cache, and why not (RFC 9211).",
    schema: text,
    example: "letta-gateway; hit; ttl=1",
  },
  ratelimit: {
    description:
      "What remains of each rate limit (draft-ietf-httpapi-ratelimit-headers). Absent where nothing is limited.",
    schema: text,
    example: '"burst";r=99;t=1',
  },
  "ratelimit-policy": {
    description: "The rate limits that apply to the request (draft-ietf-httpapi-ratelimit-headers).",
    schema: text,
    example: '"burst";q=100;w=10',
  },
  "ratelimit-degraded": {
    description: "Present while the store of the rate limits is unavailable: how each limit was decided without it.",
    schema: text,
    example: '"burst";decided=local',
  },
  "retry-after": {
    description: "After how many seconds to repeat the request, if it may be repeated.",
    schema: { ...wholeNumber, minimum: 1 },
    example: 1,
  },
  "x-should-retry": {
    description: "Whether a repeat of the same request is safe and may succeed. The official SDKs follow it.",
    schema: { type: "string", enum: ["true", "false"] },
    example: "false",
  },
  "www-authenticate": {
    description: "How to authenticate (RFC 6750).",
    schema: text,
    example: 'Bearer realm="letta-environments"',
  },
  "accept-encoding": {
    description:
      "Which content codings a request body may have: none. Present if the body had one (RFC 9110 section 12.5.3).",
    schema: text,
    example: "identity",
  },
  "accept-patch": {
    description: "Which types the body of a `PATCH` may have (RFC 5789 section 3.1). Present if it had another one.",
    schema: text,
    example: "application/merge-patch+json, application/json",
  },
  "sec-websocket-version": {
    description:
      "The version of the WebSocket protocol to use. Present if the handshake had another one (RFC 6455 section 4.4).",
    schema: { type: "string", const: "13" },
    example: "13",
  },
  upgrade: { description: "The protocol to switch to.", schema: text, example: "websocket" },
  [messageDeduplicationHeader]: {
    description:
      "Present if the server deduplicates messages: the number of seconds for which it remembers a `client_message_id`.",
    schema: { ...wholeNumber, minimum: 1 },
    example: 86_400,
  },
  [timingHeader]: {
    description:
      "How long the steps of the request took, in milliseconds (Server Timing of the W3C). Only for keys with scope `details`: it reveals what is cached.",
    schema: text,
    example: "authenticate;dur=0.021, rate_limit;dur=0.012, cache;dur=0.052, total;dur=0.131",
  },
  "idempotency-replayed": {
    description: "`true` if this is the result of an earlier request with the same message. Nothing was sent again.",
    schema: { type: "string", const: "true" },
    example: "true",
  },
  "x-accel-buffering": {
    description: "Asks nginx, and proxies that read its header, to pass the stream on at once.",
    schema: { type: "string", const: "no" },
    example: "no",
  },
  "preference-applied": {
    description:
      "Which preference of `Prefer` the server has used (RFC 7240), with the seconds that it was ready to wait.",
    schema: text,
    example: "wait=30",
  },
};

/** Parameters in request headers, by the names of their components. */
export const requestHeaders: Readonly<Record<string, JsonSchema>> = {
  RequestId: {
    name: "X-Request-Id",
    in: "header",
    description:
      "An id for the log and the response. Any value other than 1 to 128 characters from `A-Z a-z 0-9 . _ -` is replaced.",
    schema: { type: "string", pattern: "^[A-Za-z0-9._-]{1,128}$" },
    example: "trace-7f3a",
  },
  IfMatch: {
    name: "If-Match",
    in: "header",
    description:
      "`*`: only if it exists. Nothing in this API but a gateway key has a strong entity tag, so with any other value the response is 412.",
    schema: text,
    example: "*",
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    description:
      "The entity tag of a response that the caller has. If it is still current, a read is 304 without a body, and a change is 412.",
    schema: text,
    example: 'W/"kD2v0Qx1"',
  },
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Identifies the request, the same in every repeat of it. A message is also recognised by its `client_message_id` alone.",
    schema: { type: "string", pattern: "^[\\x20-\\x2b\\x2d-\\x7e]{1,256}$" },
    example: "5f0a0e0c-6cf9-4c0e-8f0c-0f6c9f6e3a01",
  },
  LastEventId: {
    name: "Last-Event-ID",
    in: "header",
    description:
      "The id of the last event that the client has received. The stream continues after it; after an id that the server does not know, or " +
      "whose form is that of another version, it begins with a `gap` (`unknown`). `oldest`: it begins with the oldest event that is kept.",
    schema: { type: "string", pattern: "^[A-Za-z0-9._~-]{0,128}$" },
    example: eventIdExample,
  },
  Prefer: {
    name: "Prefer",
    in: "header",
    description:
      "`wait=N` (RFC 7240): responds when the turn has ended or after N seconds, at most 60, with the member `outcome`. " +
      "Servers without this extension ignore it.",
    schema: text,
    example: "wait=30",
  },
};

/** Returns references to response headers. */
export function headerReferences(names: readonly string[]): JsonSchema {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

/** Returns references to parameters in request headers. */
export function parameterReferences(names: readonly string[]): readonly JsonSchema[] {
  return names.map((name) => ({ $ref: `#/components/parameters/${name}` }));
}
