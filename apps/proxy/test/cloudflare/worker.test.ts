/** Tests that only Workers need: evicted objects, isolates that share nothing, one listener, and bindings instead of a file. */
import { createFakeUpstream, type FakeUpstream } from "@letta-environments/testkit";
import { hmacSha256Hex, sha256Hex, constantTimeEqual } from "@letta-environments/platform/node";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { TestHarness } from "wrangler";
import { pepperOf } from "../../src/keys/pepper.ts";
import { linkHash } from "../../src/audit/chain.ts";
import { leadMs } from "../../src/adapters/cloudflare/coalescing-coordinator.ts";
import { ask } from "../runtimes/use-gateway.ts";
import { administerKeys, launchWorker, workerSecrets } from "../runtimes/workerd-launcher.ts";
import { settlesWithin } from "../support/settles-within.ts";
import { createTestIssuer, type TestIssuer, testJwtSettings } from "../support/test-issuer.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const row = {
  id: "env-1",
  deviceId: "device-1",
  connectionId: "conn-1",
  connectionName: "box",
  organizationId: "org",
  podId: "pod",
  connectedAt: 1,
  lastHeartbeat: 1,
  firstSeenAt: 1,
  lastSeenAt: 1,
  metadata: {},
};
let upstream: FakeUpstream;
let server: TestHarness;
let url: string;
let answerAfterMs = 0;
let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await createTestIssuer();
  const keySet: unknown = JSON.parse(await issuer.fetchJwks("", new AbortController().signal));
  upstream = await createFakeUpstream((request, response) => {
    const body =
      request.target === "/jwks"
        ? keySet
        : request.method === "POST"
          ? { success: true, message: "Message sent." }
          : request.target.startsWith("/v1/environments?") || request.target === "/v1/environments"
            ? { connections: [row], hasNextPage: false }
            : row;
    setTimeout(() => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    }, answerAfterMs);
  });
  const { issuer: name, audience, algorithms } = testJwtSettings;
  const config = {
    auth: { jwt: { issuer: name, audience, algorithms, jwksUrl: `${upstream.url}/jwks`, tenant: "default" } },
    rateLimits: { policies: { daily: { per: ["tenant"], limit: 1_000, windowMs: 86_400_000 } } },
  };
  ({ server, url } = await launchWorker({ UPSTREAM_URL: upstream.url, PROXY_CONFIG: JSON.stringify(config) }));
});
afterAll(async () => {
  await server?.close();
  await upstream?.close();
});

function left(headers: Headers): number {
  return Number(/;r=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1]);
}

test("50 concurrent cache misses cause one upstream request, and the next read is a hit", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["list"] });
  await ask(url, "/v1/environments?limit=1", { key });
  const before = upstream.seen.length;
  answerAfterMs = 200;
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(url, "/v1/environments?limit=9", { key })));
  answerAfterMs = 0;
  expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
  expect(upstream.seen.length - before).toBe(1);
  expect((await ask(url, "/v1/environments?limit=9", { key })).headers.get("cache-status")).toContain("hit");
});

test("when the client of the leading request disconnects, the waiting requests still get their response", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["list"] });
  const path = "/v1/environments?limit=11";
  answerAfterMs = 500;
  const before = upstream.seen.length;
  const client = new AbortController();
  const gone = ask(url, path, { key, signal: client.signal }).catch(() => "gone");
  await vi.waitUntil(() => upstream.seen.length > before, { timeout: 20_000 });
  const waiting = Array.from({ length: 5 }, () => ask(url, path, { key }));
  client.abort();
  const answered = Promise.all(waiting);
  // Well before a silent caller counts as disconnected.
  const isInTime = await settlesWithin(answered, leadMs - 1_000);
  const answers = await answered;
  answerAfterMs = 0;
  expect(await gone).toBe("gone");
  expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
  expect(isInTime).toBe(true);
  expect(upstream.seen.length - before).toBeLessThanOrEqual(2);
});

test("the built Worker accepts a valid JWT, and refuses a forged or expired one", async () => {
  const nowMs = Date.now();
  const token = await issuer.sign(nowMs);
  expect((await ask(url, "/v1/environments", { key: token })).status).toBe(200);
  const [header = "", , signature = ""] = token.split(".");
  const claims = Buffer.from(JSON.stringify({ sub: "other" })).toString("base64url");
  const foreign = await (await createTestIssuer()).sign(nowMs);
  const expired = await issuer.sign(nowMs, { claims: { exp: Math.floor(nowMs / 1_000) - 60 } });
  for (const key of [`${header}.${claims}.${signature}`, `${token.slice(0, -8)}AAAAAAAA`, foreign, expired]) {
    const refused = await ask(url, "/v1/environments", { key });
    expect([refused.status, refused.json]).toMatchObject([401, { errorCode: "invalid_key" }]);
  }
});

test("a revoked key is refused even by an isolate that cached it as valid", async () => {
  const keys = administerKeys(url);
  const { id, key } = await keys.createKey({ scopes: ["list"] });
  expect((await ask(url, "/v1/environments", { key })).status).toBe(200);
  // Directly in the object, so that no isolate is notified.
  const sql = await server.getWorker().getDurableObjectStorage("KEYS", { name: "keys" });
  await sql.exec("UPDATE keys SET record = json_set(record, '$.revokedAt', 1) WHERE id = ?", id);
  // The contract of key stores holds it to five seconds (`contracts.test.ts`).
  await vi.waitUntil(async () => (await ask(url, "/v1/environments", { key })).status === 401, {
    timeout: 30_000,
    interval: 50,
  });
});

test("keys, rate limits and the audit log survive the eviction of their Durable Objects", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["list", "send"] });
  const first = await ask(url, "/v1/environments", { key });
  const send = {
    key,
    body: { agentId: "agent-1", messages: [{ role: "user", content: "hi", client_message_id: "m" }] },
  };
  expect((await ask(url, "/v1/environments/conn-1/messages", send)).status).toBe(200);
  const worker = server.getWorker();
  await worker.evictDurableObject("KEYS", { name: "keys" });
  await worker.evictDurableObject("TENANTS", { name: "tenant default" });
  const after = await ask(url, "/v1/environments", { key });
  expect(after.status).toBe(200);
  expect(left(after.headers)).toBe(left(first.headers) - 2);
  expect((await ask(url, "/v1/environments/conn-1/messages", send)).status).toBe(200);
  const sql = await worker.getDurableObjectStorage("TENANTS", { name: "tenant default" });
  const writers = await sql.exec("SELECT count(*) AS count FROM audit_heads");
  expect(writers).toEqual([{ count: 2 }]);
});

test("every send is in the audit log, whose chain is intact and sealed with the pepper", async () => {
  const { key, id } = await administerKeys(url).createKey({ scopes: ["send"] });
  const send = {
    key,
    body: { agentId: "agent-1", messages: [{ role: "user", content: "hi", client_message_id: "m" }] },
  };
  const { headers } = await ask(url, "/v1/environments/conn-1/messages", send);
  const sql = await server.getWorker().getDurableObjectStorage("TENANTS", { name: "tenant default" });
  const rows = (await sql.exec("SELECT * FROM audit_records ORDER BY writer, sequence")) as Record<string, unknown>[];
  const entries = rows.map(({ text }) => JSON.parse(String(text)) as Record<string, unknown>);
  const requestId = headers.get("x-request-id");
  const started = entries.find((entry) => entry["type"] === "send_started" && entry["requestId"] === requestId);
  expect(started).toMatchObject({ keyId: id });
  const finished = entries.find(
    (entry) => entry["sendId"] === started?.["sendId"] && entry["type"] === "send_finished",
  );
  expect(finished).toMatchObject({ status: 200 });
  for (const [index, { writer, hash, text }] of rows.entries()) {
    const previous = rows[index - 1];
    if (previous === undefined || previous["writer"] !== writer) continue;
    expect(linkHash(String(previous["hash"]), String(text), { sha256: sha256Hex })).toBe(hash);
  }
  const heads = (await sql.exec("SELECT pepper_id FROM audit_heads")) as Record<string, unknown>[];
  const pepper = pepperOf(workerSecrets.KEY_PEPPER, hmacSha256Hex);
  expect(heads.every((head) => constantTimeEqual(String(head["pepper_id"]), pepper.id))).toBe(true);
});

test("a send is refused while the audit log cannot be written, and nothing is sent", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["send"] });
  const sql = await server.getWorker().getDurableObjectStorage("TENANTS", { name: "tenant default" });
  await sql.exec("CREATE TRIGGER full BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  const before = upstream.seen.filter(({ method }) => method === "POST").length;
  const send = {
    key,
    body: { agentId: "agent-1", messages: [{ role: "user", content: "hi", client_message_id: "m" }] },
  };
  const answer = await ask(url, "/v1/environments/conn-1/messages", send);
  await sql.exec("DROP TRIGGER full");
  expect([answer.status, answer.json["errorCode"]]).toEqual([503, "audit_unavailable"]);
  expect(upstream.seen.filter(({ method }) => method === "POST")).toHaveLength(before);
  expect((await ask(url, "/v1/environments/conn-1/messages", send)).status).toBe(200);
});

test("the operator's token administers keys and nothing else, and a wrong one counts as a failed authentication", async () => {
  const operator = workerSecrets.ADMIN_TOKEN;
  expect((await ask(url, "/admin/v1/keys", { key: operator })).status).toBe(200);
  expect((await ask(url, "/v1/environments", { key: operator })).status).toBe(401);
  expect((await ask(url, "/admin/v1/keys", { key: `${operator}x` })).status).toBe(401);
  expect((await ask(url, "/admin/v1/keys", { key: operator, headers: { origin: url } })).status).toBe(403);
  const { key } = await administerKeys(url).createKey({ scopes: ["list"] });
  expect((await ask(url, "/admin/v1/keys", { key })).status).toBe(403);
});

test("a purge invalidates cached responses at once", async () => {
  const { key } = await administerKeys(url).createKey({ scopes: ["list"] });
  await ask(url, "/v1/environments?limit=5", { key });
  const purge = { key: workerSecrets.ADMIN_TOKEN, body: { tenant: "default" } };
  expect((await ask(url, "/admin/v1/cache/purge", purge)).status).toBe(204);
  expect((await ask(url, "/v1/environments?limit=5", { key })).headers.get("cache-status")).toContain("fwd=uri-miss");
});

test("a Worker with invalid settings serves nothing, and logs the broken rules without values", async () => {
  const { server: broken, url: brokenUrl } = await launchWorker({
    UPSTREAM_URL: "ftp://upstream.example",
    KEY_PEPPER: "too-short-a-pepper",
  });
  const answer = await ask(brokenUrl, "/livez");
  expect([answer.status, answer.json["errorCode"]]).toEqual([500, "internal_error"]);
  const log = JSON.stringify(broken.getLogs());
  await broken.close();
  for (const name of ["not_configured", "UPSTREAM_URL", "KEY_PEPPER"]) {
    expect([name, log.includes(name)]).toEqual([name, true]);
  }
  for (const secret of ["too-short-a-pepper", workerSecrets.ADMIN_TOKEN]) {
    expect(log + answer.text).not.toContain(secret);
  }
});
