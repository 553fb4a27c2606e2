import { expect, test } from "vitest";
import { resolveWorkerSettings } from "./settings.ts";

const objects = { getByName: () => null };
const good = {
  UPSTREAM_URL: "https://api.example",
  KEY_PEPPER: "p".repeat(32),
  ...{ KEYS: objects, LIMITS: objects, FLIGHTS: objects, AUDIT: objects, TENANTS: objects, ASSETS: objects },
};

function brokenSettings(bindings: Readonly<Record<string, unknown>>): readonly string[] {
  const resolved = resolveWorkerSettings({ ...good, ...bindings });
  return resolved.ok ? [] : resolved.problems.map(({ setting }) => setting);
}

test("an upstream and a pepper are enough, and other bindings are ignored", () => {
  const resolved = resolveWorkerSettings({ ...good, OTHER: { get: () => null } });
  expect(resolved).toMatchObject({ ok: true, settings: { operatorToken: null, rateLimits: { deadlineMs: 1_000 } } });
});

test("PROXY_CONFIG is JSON text or an object, and its deadline overrides the default", () => {
  const config = { rateLimits: { deadlineMs: 50 }, upstream: { timeoutMs: 1_000 } };
  for (const PROXY_CONFIG of [config, JSON.stringify(config)]) {
    expect(resolveWorkerSettings({ ...good, PROXY_CONFIG })).toMatchObject({
      ok: true,
      settings: { upstreamTimeoutMs: 1_000, rateLimits: { deadlineMs: 50 } },
    });
  }
});

test("a PROXY_CONFIG that is not JSON is refused, and so is a name that appears twice in it, with its place, as in a file", () => {
  const place = "is not valid JSON: line 1, column";
  for (const [PROXY_CONFIG, rule] of [
    ["{", "must be JSON"],
    ['{"tenants":{"a":{"deviceIds":["d"]}},"tenants":{"a":{}}}', `${place} 38: "tenants" is in this object twice`],
    ['{"tenants":{"a":{},"\\u0061":{}}}', `${place} 20: "\\u0061" is in this object twice`],
  ]) {
    expect(resolveWorkerSettings({ ...good, PROXY_CONFIG })).toEqual({
      ok: false,
      problems: [{ setting: "PROXY_CONFIG", rule }],
    });
  }
});

test("settings that Workers cannot use are refused by name, without their values", () => {
  expect(brokenSettings({ UPSTREAM_URL: "" })).toEqual(["UPSTREAM_URL"]);
  expect(brokenSettings({ KEY_PEPPER: "short" })).toEqual(["KEY_PEPPER"]);
  expect(brokenSettings({ ADMIN_TOKEN: "short" })).toEqual(["ADMIN_TOKEN"]);
  expect(brokenSettings({ VALKEY_URL: "valkey://h:1" })).toEqual(["VALKEY_URL"]);
  expect(brokenSettings({ PROXY_CONFIG: "{" })).toEqual(["PROXY_CONFIG"]);
  for (const store of ["memory", "sqlite", "valkey"]) {
    const PROXY_CONFIG = { rateLimits: { store }, cache: { store } };
    expect(brokenSettings({ PROXY_CONFIG })).toEqual(["rateLimits.store", "cache.store"]);
  }
  expect(brokenSettings({ PROXY_CONFIG: '{"admin":{"port":1}}' })).toEqual(["admin"]);
  const admin = { PROXY_CONFIG: '{"admin":{"port":1}}', ADMIN_TOKEN: "t".repeat(32) };
  expect(brokenSettings(admin)).toEqual(["admin"]);
  const file = '{"tenants":{"acme":{"upstream":{"credentialFile":"/run/acme"}}}}';
  expect(brokenSettings({ PROXY_CONFIG: file })).toEqual(["tenants.acme.upstream"]);
  expect(brokenSettings({ PROXY_CONFIG: { upstream: { timeoutMs: 30_001 } } })).toEqual(["upstream.timeoutMs"]);
  expect(brokenSettings({ PROXY_CONFIG: { upstream: { timeoutMs: 30_000 } } })).toEqual([]);
  const text = JSON.stringify(resolveWorkerSettings({ ...good, KEY_PEPPER: "short-secret", ADMIN_TOKEN: "secret-2" }));
  expect(text).not.toMatch(/short-secret|secret-2/);
});

test("settings that only a process uses are ignored, so that a Worker and a process can share a configuration", () => {
  const observed = { logLevel: "warn", metrics: {}, otlp: {}, shadow: { keyIds: ["k"] }, audit: { retentionDays: 9 } };
  const PROXY_CONFIG = { host: "h", port: 1, publicUrl: "none", dataDir: "/d", log: "json", ...observed };
  const resolved = resolveWorkerSettings({ ...good, PROXY_CONFIG, HOST: "h", PORT: "none", PUBLIC_URL: "none" });
  expect(resolved.ok).toBe(true);
  expect(resolved).not.toHaveProperty("settings.publicUrl");
});

test("a missing Durable Object binding and a secret that is not text are refused by name", () => {
  for (const name of ["KEYS", "LIMITS", "FLIGHTS", "AUDIT", "TENANTS", "ASSETS"]) {
    expect(brokenSettings({ [name]: undefined })).toEqual([name]);
    expect(brokenSettings({ [name]: "text" })).toEqual([name]);
  }
  for (const name of ["UPSTREAM_URL", "KEY_PEPPER", "ADMIN_TOKEN", "LETTA_API_KEY"]) {
    expect(brokenSettings({ [name]: { get: () => "a secret of a store" } })).toEqual([name]);
  }
});
