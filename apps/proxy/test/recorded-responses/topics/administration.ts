import type { RecordedRequest, Topic } from "../topic.ts";
import { remoteServer } from "./shared.ts";

const base = "/admin/v1/keys";
type More = Partial<RecordedRequest>;

function post(title: string, path: string, body?: unknown, more: More = {}): RecordedRequest {
  return { title, as: "admin", method: "POST", path: `${base}${path}`, ...(body !== undefined && { body }), ...more };
}

function get(title: string, path: string = "", query: string = "", more: More = {}): RecordedRequest {
  return { title, as: "admin", path: `${base}${path}`, query, ...more };
}

function patch(title: string, body: unknown, more: More = {}): RecordedRequest {
  return { title, as: "admin", method: "PATCH", path: `${base}/<id plain>`, body, ...more };
}

const everything = {
  name: "everything",
  description: "All members",
  owner: "somebody",
  scopes: ["read", "list", "send"],
  deviceIds: ["laptop", "laptop"],
  connectionNames: ["ci-*"],
  agentIds: ["agent-1"],
  maxMode: "standard",
  shared: false,
  expiresAt: 1_900_000_000_000,
  rateLimits: { requests: "10/1m" },
};

const brokenKeys: readonly (readonly [title: string, body: unknown])[] = [
  ["no name", {}],
  ["an empty name", { name: "" }],
  ["a long name", { name: "x".repeat(200) }],
  ["a name with a line break", { name: "a\nb" }],
  ["no scopes", { name: "n", scopes: [] }],
  ["an unknown scope", { name: "n", scopes: ["everything"] }],
  ["a text as scopes", { name: "n", scopes: "list" }],
  ["no devices", { name: "n", deviceIds: [] }],
  ["a malformed device", { name: "n", deviceIds: ["a/b"] }],
  ["an unknown mode", { name: "n", maxMode: "free" }],
  ["a text as end", { name: "n", expiresAt: "tomorrow" }],
  ["an end in the past", { name: "n", expiresAt: 1 }],
  ["a broken limit", { name: "n", rateLimits: { requests: "many" } }],
  ["an unknown member", { name: "n", future: 1 }],
  ["another tenant", { name: "n", tenant: "other" }],
  ["a malformed tenant", { name: "n", tenant: "a b" }],
  ["a scope that the maker lacks", { name: "n", scopes: ["details"] }],
  ["an array", []],
  ["broken JSON", "{"],
  ["a large integer", '{"name":"n","expiresAt":9007199254740993}'],
];

const operations: readonly RecordedRequest[] = [
  get("the list of keys"),
  get("a page of keys", "", "limit=2"),
  get("the next page of keys", "", "limit=2&after=<id admin>"),
  get("keys of a state", "", "state=active"),
  get("keys of an unknown state", "", "state=lost"),
  get("keys of another tenant", "", "tenant=other"),
  get("a list with an unknown parameter", "", "future=1"),
  get("a list with a broken limit", "", "limit=0"),
  get("a key", "/<id plain>"),
  get("the administering key itself", "/<id admin>"),
  get("a key of another tenant", "/<id other>"),
  get("a key that is not there", "/abcdefghijkl"),
  get("a malformed key id", "/a%2fb"),
  get("a key that is unchanged", "/<id plain>", "", { headers: { "if-none-match": "*" } }),
  post("create with a name alone", "", { name: "n" }),
  post("create with every member", "", everything),
  ...brokenKeys.map(([title, body]) => post(`create with ${title}`, "", body)),
  get("use of a created key", "", "", { as: "created-1", path: "/v1/environments" }),
  patch("rename", { name: "renamed" }),
  patch("change restrictions", { scopes: ["list"], deviceIds: ["laptop"], maxMode: null, owner: null }),
  patch("change with a wrong condition", { name: "x" }, { headers: { "if-match": '"wrong"' } }),
  patch("change with any condition", { name: "y" }, { headers: { "if-match": "*" } }),
  patch("change nothing", {}),
  patch("change an unknown member", { future: 1 }),
  patch("change the tenant", { tenant: "other" }),
  patch("grant a scope that the maker lacks", { scopes: ["details"] }),
  patch("disable", { disabled: true }),
  patch("enable", { disabled: false }),
  post("rotate with the default overlap", "/<id plain>/rotate"),
  post("rotate with an overlap", "/<id plain>/rotate", { overlapMs: 1_000 }),
  post("rotate with a broken overlap", "/<id plain>/rotate", { overlapMs: "1h" }),
  post("rotate a key that is not there", "/abcdefghijkl/rotate"),
  post("revoke", "/<id plain>/revoke"),
  post("revoke again", "/<id plain>/revoke"),
  post("rotate a revoked key", "/<id plain>/rotate"),
  patch("change a revoked key", { name: "z" }),
  post("revoke a key of another tenant", "/<id other>/revoke"),
  post("revoke with a query", "/<id other>/revoke", undefined, { query: "x=1" }),
  get("a list by PUT", "", "", { method: "PUT" }),
  get("a key by DELETE", "/<id plain>", "", { method: "DELETE" }),
  get("a list as HEAD", "", "", { method: "HEAD" }),
  get("a list for a web page", "", "", { headers: { origin: "https://page.example" } }),
  get("a path that is not there", "/<id plain>/nothing"),
];

const withoutRights: readonly RecordedRequest[] = [
  get("no credential", "", "", { as: "" }),
  get("a key without the scope", "", "", { as: "plain" }),
  get("a limited administrator lists", "", "", { as: "limited admin" }),
  post("a limited administrator creates", "", { name: "n" }, { as: "limited admin" }),
  post(
    "a limited administrator creates within its limits",
    "",
    { name: "n", deviceIds: ["laptop"] },
    { as: "limited admin" },
  ),
  get("the operator's token where it is not used", "", "", { as: "operator" }),
];

const keys: Topic["keys"] = {
  admin: { scopes: ["list", "read", "send", "admin"] },
  plain: { scopes: ["list", "read"] },
  other: { tenant: "other" },
  "limited admin": { scopes: ["list", "admin"], deviceIds: ["laptop"] },
};

export const administration: Topic = {
  name: "administration",
  gateway: { upstream: remoteServer },
  keys,
  requests: [...withoutRights, ...operations],
};

export const operator: Topic = {
  name: "operator",
  gateway: { upstream: remoteServer, mainOperator: true },
  keys,
  requests: [
    get("list of all keys", "", "", { as: "operator" }),
    get("keys of a tenant", "", "tenant=other", { as: "operator" }),
    post("create for a tenant", "", { name: "n", tenant: "third", scopes: ["admin", "details"] }, { as: "operator" }),
    post("revoke a key of any tenant", "/<id other>/revoke", undefined, { as: "operator" }),
    get("an administering key", "", "", { as: "admin" }),
    get("a wrong token", "", "", { as: "operator-token-that-is-wrong-0123456789" }),
    { title: "the operator's token for the API", as: "operator" },
  ],
};

const listener = { as: "operator", via: "adminListener", headers: { host: "127.0.0.1" } } as const;

export const adminListener: Topic = {
  name: "admin-listener",
  gateway: { upstream: remoteServer, adminListener: true },
  keys,
  requests: [
    get("the main listener with a key", "", "", { as: "admin" }),
    get("the main listener with the token", "", "", { as: "operator" }),
    get("the list", "", "", listener),
    get("the list under a name of the listener", "", "", { ...listener, headers: { host: "admin.example:8788" } }),
    get("the list under another name", "", "", { ...listener, headers: { host: "evil.example" } }),
    get("the list without a host", "", "", { ...listener, headers: { host: "" } }),
    get("the list for a web page", "", "", {
      ...listener,
      headers: { host: "127.0.0.1", origin: "https://x.example" },
    }),
    get("the list with a wrong token", "", "", { ...listener, as: "wrong" }),
    get("the list without a token", "", "", { via: "adminListener", as: "", headers: { host: "127.0.0.1" } }),
    get("the list with an administering key", "", "", { ...listener, as: "admin" }),
    post("create", "", { name: "n" }, listener),
    { title: "the API on the administration listener", ...listener },
    { title: "health on the administration listener", ...listener, path: "/livez" },
  ],
};
