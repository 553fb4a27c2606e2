import type { RecordedRequest, Topic } from "../topic.ts";
import { messageBody, remoteServer, send } from "./shared.ts";

function repeated(count: number, request: RecordedRequest): readonly RecordedRequest[] {
  return Array.from({ length: count }, (_, index) => ({ ...request, title: `${request.title} ${index + 1}` }));
}

export const rateLimits: Topic = {
  name: "rate-limits",
  gateway: {
    upstream: remoteServer,
    corsOrigins: ["https://page.example"],
    rateLimits: {
      policies: {
        requests: {
          per: ["key"],
          limit: 5,
          windowMs: 60_000,
          burst: 5,
          routes: ["listEnvironments", "retrieveEnvironment"],
        },
        devices: {
          per: ["key", "device"],
          limit: 2,
          windowMs: 60_000,
          burst: 2,
          routes: ["retrieveEnvironment", "sendMessage"],
        },
        tenant: {
          per: ["tenant"],
          limit: 100,
          windowMs: 60_000,
          routes: ["listEnvironments"],
          costs: { listEnvironments: 3 },
        },
        watched: { per: ["key"], limit: 1, windowMs: 60_000, mode: "shadow", routes: ["sendMessage"] },
        running: { per: ["key"], unit: "concurrent-requests", limit: 2, routes: ["sendMessage"] },
        administration: { per: ["key"], limit: 2, windowMs: 60_000, routes: ["administerKeys"] },
        failures: { per: ["address"], limit: 3, windowMs: 60_000, routes: ["failedAuthentication"] },
      },
    },
  },
  keys: {
    plain: { scopes: ["list", "read", "send"] },
    "with its own limit": { scopes: ["list", "read"], rateLimits: { requests: "2/1m" } },
    admin: { scopes: ["admin"] },
  },
  requests: [
    { title: "the limits before any request", as: "plain", path: "/v1/ratelimit" },
    ...repeated(6, { title: "list", as: "plain" }),
    { title: "a refused list as HEAD", as: "plain", method: "HEAD" },
    { title: "a refused list of a web page", as: "plain", headers: { origin: "https://page.example" } },
    { title: "a device under the same limit", as: "plain", path: "/v1/environments/laptop" },
    { title: "the limits after a refusal", as: "plain", path: "/v1/ratelimit" },
    { title: "a list when another request is allowed", as: "plain", before: ({ clock }) => clock.advance(12_000) },
    ...repeated(3, { title: "a list with its own limit", as: "with its own limit" }),
    { title: "the limits of a key with its own", as: "with its own limit", path: "/v1/ratelimit" },
    ...repeated(3, { title: "send", as: "plain", ...send("conn-laptop", messageBody("m")) }),
    { title: "a send to another device", as: "plain", ...send("conn-ci", messageBody("m")) },
    {
      title: "the limits of sends",
      as: "plain",
      path: "/v1/ratelimit",
      query: "operation=sendMessage&deviceId=conn-laptop",
    },
    { title: "the limits of an unknown operation", as: "plain", path: "/v1/ratelimit", query: "operation=nothing" },
    { title: "the limits of a malformed device", as: "plain", path: "/v1/ratelimit", query: "deviceId=.." },
    { title: "the limits with an unknown parameter", as: "plain", path: "/v1/ratelimit", query: "future=1" },
    { title: "the limits as HEAD", as: "plain", path: "/v1/ratelimit", method: "HEAD" },
    ...repeated(3, { title: "the list of keys", as: "admin", path: "/admin/v1/keys", query: "limit=1" }),
    ...repeated(4, { title: "a failed authentication", as: "lek_x" }),
    { title: "a valid key from an address with failures", as: "plain" },
    { title: "no credential from an address with failures" },
    { title: "the limits from an address with failures", as: "plain", path: "/v1/ratelimit" },
    { title: "a request that matches no endpoint", as: "plain", path: "/v1/nothing" },
  ],
};
