import type { RecordedGateway } from "../gateway.ts";
import type { RecordedRequest, Topic } from "../topic.ts";
import { hour, messageBody, remoteServer, send } from "./shared.ts";

type SignToken = NonNullable<Topic["tokens"]>[string];

function token(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): SignToken {
  return ({ issuer, clock }) => issuer.sign(clock.now(), { claims, header });
}

function changed(change: (token: string) => string): SignToken {
  return async (gateway) => change(await token()(gateway));
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const tokens: Readonly<Record<string, SignToken>> = {
  "good token": token(),
  "token for sends": token({ scope: "list read send" }),
  "token without scopes": token({ scope: "" }),
  "token with unknown scopes": token({ scope: "list everything" }),
  "token with scopes of an operator": token({ scope: "admin connect" }),
  "token with a list of scopes": token({ scope: ["list"] }),
  "token with a number as scope": token({ scope: 5 }),
  "token without a tenant": token({ org: undefined }),
  "token with a bad tenant": token({ org: "a b" }),
  "token without a subject": token({ sub: undefined }),
  "expired token": token({ exp: 1_700_000_000 }),
  "token without an end": token({ exp: undefined }),
  "token of the future": token({ nbf: 1_900_000_000 }),
  "token of another issuer": token({ iss: "https://elsewhere.example" }),
  "token for another audience": token({ aud: "elsewhere" }),
  "token for several audiences": token({ aud: ["elsewhere", "gateway"] }),
  "token of another type": token({}, { typ: "JWT" }),
  "token with an unknown key id": token({}, { kid: "key-9" }),
  "token with a broken signature": changed((text) => `${text.slice(0, -4)}AAAA`),
  "token without a signature": changed((text) => text.slice(0, text.lastIndexOf(".") + 1)),
  "token with a fourth part": changed((text) => `${text}.AAAA`),
  "token with another payload": changed((text) => {
    const [header = "", , signature = ""] = text.split(".");
    return `${header}.${encode({ sub: "x" })}.${signature}`;
  }),
  "token with algorithm none": changed(
    (text) => `${encode({ alg: "none", typ: "at+jwt" })}.${text.split(".")[1] ?? ""}.`,
  ),
  "token with algorithm HS256": changed(
    (text) => `${encode({ alg: "HS256", typ: "at+jwt" })}.${text.split(".")[1] ?? ""}.AAAA`,
  ),
  "token that is too long": token({ padding: "x".repeat(9_000) }),
};

const noKey: readonly RecordedRequest[] = [
  { title: "no credential" },
  { title: "an empty Authorization", headers: { authorization: "" } },
  { title: "a Bearer scheme without a token", headers: { authorization: "Bearer " } },
  { title: "another scheme", headers: { authorization: "Basic dXNlcjpwYXNz" } },
  { title: "a scheme in lower case", headers: { authorization: "bearer lek_x" } },
  { title: "two keys in one field", headers: { authorization: "Bearer lek_a, Bearer lek_b" } },
  { title: "a key in x-api-key", headers: { "x-api-key": "lek_a" } },
  { title: "a key in the query", query: "key=lek_a" },
  { title: "a key of another product", as: "sk-let-another-product" },
  { title: "a text that only has the prefix of a key", as: "lek_abc" },
  { title: "a key with a broken checksum", as: `lek_${"a".repeat(12)}_${"b".repeat(43)}` },
  { title: "a key that is too long", as: `lek_${"a".repeat(5_000)}` },
  { title: "a key with a character outside ASCII", as: "lek_ä" },
];

const paths = ["/v1/environments/laptop", "/v1/ratelimit", "/v1/nothing", "/admin/v1/keys"] as const;

const requests: readonly RecordedRequest[] = [
  ...noKey,
  ...paths.map((path): RecordedRequest => ({ title: `no credential at ${path}`, path })),
  ...paths.map((path): RecordedRequest => ({ title: `an unknown key at ${path}`, path, as: "lek_x" })),
  { title: "a key in the list", as: "plain" },
  { title: "a key in the list again", as: "plain" },
  { title: "a sending key without a body", as: "sender", ...send("conn-laptop", "") },
  { title: "an expired key", as: "expired" },
  { title: "a key before its expiry", as: "ends soon" },
  {
    title: "a key after its expiry",
    as: "ends soon",
    before: ({ clock }) => clock.advance(hour),
  },
  ...Object.keys(tokens).map((name): RecordedRequest => ({ title: `in the list: ${name}`, as: name })),
  { title: "a device with a valid token", as: "good token", path: "/v1/environments/laptop" },
  { title: "a send with a valid token", as: "token for sends", ...send("conn-laptop", messageBody("m-1")) },
  { title: "a send with a token without the scope", as: "good token", ...send("conn-laptop", messageBody("m-2")) },
  { title: "the rate limits with a valid token", as: "good token", path: "/v1/ratelimit" },
  { title: "the administration with a valid token", as: "good token", path: "/admin/v1/keys" },
  {
    title: "a token of a key that was rotated out, while the key set is remembered",
    as: "good token",
    before: ({ issuer }: RecordedGateway) => issuer.rotate(),
  },
  {
    title: "a token when the issuer is down and its key set is too old",
    as: "token for sends",
    before: async ({ clock, issuer }) => {
      issuer.isDown = true;
      await clock.advance(25 * hour);
    },
  },
];

export const authentication: Topic = {
  name: "authentication",
  gateway: { upstream: remoteServer, jwt: true },
  keys: {
    plain: { scopes: ["list", "read"] },
    sender: { scopes: ["send"] },
    expired: { expiresAt: 1 },
    "ends soon": { expiresAt: 1_800_000_000_000 + hour },
  },
  // What ends is checked last: time passes in between.
  tokens,
  requests,
};

const ownKey = "sk-let-callers-own-key";

export const passThrough: Topic = {
  name: "pass-through",
  gateway: {
    upstream: (request, signal) => {
      const authorization = request.headers["authorization"] ?? "";
      if (authorization.includes("unknown")) return Promise.resolve({ status: 401, headers: {}, body: "{}" });
      if (authorization.includes("forbidden")) return Promise.resolve({ status: 403, headers: {}, body: "{}" });
      return remoteServer(request, signal);
    },
    passThrough: true,
  },
  keys: { plain: { scopes: ["list", "read", "send"] } },
  requests: [
    { title: "no credential" },
    { title: "a gateway key", as: "plain" },
    { title: "a broken gateway key", as: "lek_x" },
    { title: "a list with the caller's own key", as: ownKey },
    { title: "a device with the caller's own key", as: ownKey, path: "/v1/environments/laptop" },
    { title: "an unknown device", as: ownKey, path: "/v1/environments/nothing" },
    { title: "a send with the caller's own key", as: ownKey, ...send("conn-laptop", messageBody("m-1")) },
    { title: "a send to an unknown connection", as: ownKey, ...send("conn-nothing", messageBody("m-2")) },
    { title: "a key unknown to the upstream", as: "sk-let-unknown" },
    { title: "a key that the upstream forbids", as: "sk-let-forbidden" },
    {
      title: "a send with a key unknown to the upstream",
      as: "sk-let-unknown",
      ...send("c", messageBody("m")),
    },
    { title: "a credential with spaces", as: "sk let" },
    { title: "a credential that is too long", as: `sk-${"x".repeat(5_000)}` },
    { title: "the administration", as: ownKey, path: "/admin/v1/keys" },
    { title: "the rate limits", as: ownKey, path: "/v1/ratelimit" },
    { title: "the registration of a device", as: ownKey, method: "POST", path: "/v1/environments/register", body: {} },
  ],
};
