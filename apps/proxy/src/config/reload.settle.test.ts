import { expect, test } from "vitest";
import { resolveSettings } from "./resolve.ts";
import type { Settings } from "./settings.ts";
import { settleReload } from "./reload.ts";

const environment = { LETTA_API_KEY: "upstream-key", ADMIN_TOKEN: "a".repeat(40), ACME: "acme-key" };

function settingsOf(file: unknown): Settings {
  const resolved = resolveSettings({ flags: {}, environment, file });
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  return resolved.settings;
}

const upstream = { url: "http://127.0.0.1:9000" };

test("a file with the same settings in another order changes nothing", () => {
  const file = { upstream, cors: { origins: ["https://a.example"] }, tenants: { a: {}, b: {} } };
  const same = { tenants: { b: {}, a: {} }, cors: { origins: ["https://a.example"] }, upstream };
  const current = settingsOf(file);
  expect(settleReload(current, settingsOf(same))).toEqual({
    kind: "settled",
    settings: current,
    changed: [],
    awaitingRestart: [],
  });
});

test.each([
  ["upstream.url", { upstream: { url: "http://127.0.0.1:9001" } }],
  ["upstream.timeoutMs", { upstream: { ...upstream, timeoutMs: 5_000 } }],
  ["upstream.maxResponseBytes", { upstream: { ...upstream, maxResponseBytes: 1_000_000 } }],
  ["auth.passThrough", { upstream, auth: { passThrough: true } }],
  ["tenants", { upstream, tenants: { acme: { upstream: { credentialEnv: "ACME" } } } }],
  ["cors.origins", { upstream, cors: { origins: ["https://a.example"] } }],
  ["audit.content", { upstream, audit: { content: true } }],
  ["rateLimits", { upstream, rateLimits: { enabled: false } }],
  ["rateLimits", { upstream, rateLimits: { deadlineMs: 50 } }],
  ["cache.statusFor", { upstream, cache: { statusFor: "nobody" } }],
])("a change of %s takes effect at once", (name, file) => {
  const next = settingsOf(file);
  const settled = settleReload(settingsOf({ upstream }), next);
  expect(settled).toEqual({ kind: "settled", settings: next, changed: [name], awaitingRestart: [] });
});

test.each([
  ["host", { host: "0.0.0.0" }],
  ["port", { port: 9999 }],
  ["publicUrl", { publicUrl: "https://gateway.example" }],
  ["dataDir", { dataDir: "elsewhere" }],
  ["maxOpenFiles", { maxOpenFiles: 300 }],
  ["log", { log: "json" }],
  ["rateLimits.store", { rateLimits: { store: "sqlite" } }],
  ["cache.enabled", { cache: { enabled: false } }],
  ["cache.maxBytes", { cache: { maxBytes: 10_000_000 } }],
  ["admin.port", { admin: { port: 9998 } }],
])("a change of %s is reported and takes effect with the next start", (name, file) => {
  const current = settingsOf({});
  const settled = settleReload(current, settingsOf(file));
  expect(settled).toMatchObject({ kind: "settled", settings: current, changed: [] });
  expect(settled).toHaveProperty("awaitingRestart", expect.arrayContaining([name]));
});

test("only changed settings are named: those of a part that is switched on or off are not compared", () => {
  const reloaded = (file: unknown, next: unknown) => settleReload(settingsOf(file), settingsOf(next));
  expect(reloaded({}, { cache: { enabled: false } })).toMatchObject({
    changed: [],
    awaitingRestart: ["cache.enabled"],
  });
  expect(reloaded({ admin: { port: 1 } }, {})).toMatchObject({ changed: [], awaitingRestart: ["admin.port"] });
});

test("the administration keeps the name of its host until the restart that changes the host", () => {
  const admin = { port: 1, host: "old.example", allowRemote: true };
  const settled = settleReload(settingsOf({ admin }), settingsOf({ admin: { port: 1 } }));
  expect(settled).toMatchObject({
    changed: [],
    awaitingRestart: ["admin.host"],
    settings: { admin: { host: "old.example" } },
  });
});

test("a change that needs a restart does not stop other changes from taking effect", () => {
  const settled = settleReload(settingsOf({}), settingsOf({ port: 1, cors: { origins: ["https://a.example"] } }));
  expect(settled).toMatchObject({ changed: ["cors.origins"], awaitingRestart: ["port"], settings: { port: 8787 } });
});

test("a change of the kind of upstream is refused completely, because other settings depend on it", () => {
  const settled = settleReload(settingsOf({}), settingsOf({ upstream, cors: { origins: ["https://a.example"] } }));
  expect(settled).toMatchObject({ kind: "refused", problems: [{ setting: "upstream.url" }] });
});
