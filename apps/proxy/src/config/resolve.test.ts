import { describe, expect, test } from "vitest";
import { resolveRateLimits } from "./resolve-rate-limits.ts";
import { resolveSettings, type SettingSources } from "./resolve.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { Settings } from "./settings.ts";

function resolve(sources: Partial<SettingSources>): Settings {
  const resolved = resolveSettings({ flags: {}, environment: {}, file: undefined, ...sources });
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  return resolved.settings;
}

function problemsOf(sources: Partial<SettingSources>): readonly SettingProblem[] {
  const resolved = resolveSettings({ flags: {}, environment: {}, file: undefined, ...sources });
  return resolved.ok ? [] : resolved.problems;
}

test("without settings, the proxy listens on loopback and embeds its server", () => {
  expect(resolve({})).toEqual({
    host: "127.0.0.1",
    port: 8787,
    publicUrl: null,
    dataDir: ".data",
    maxOpenFiles: null,
    logLevel: "info",
    shadow: null,
    auditRetentionDays: null,
    metrics: { enabled: true, labels: [] },
    otlp: null,
    log: "pretty",
    console: true,
    readinessDelayMs: 250,
    upstream: { kind: "embedded" },
    upstreamTimeoutMs: 30_000,
    maxConcurrentPerTenant: 128,
    keyPepper: null,
    valkeyUrl: null,
    jwt: null,
    passThrough: false,
    tenants: new Map(),
    approvals: null,
    corsOrigins: [],
    auditContent: false,
    cache: { store: "memory", maxBytes: 67_108_864, maxEntries: 100_000, statusFor: "everybody" },
    rateLimits: resolveRateLimits({}, false).settings,
    admin: null,
  });
});

test.each(["__proto__", "prototype", "constructor"])("%s is not a setting, in no object", (name) => {
  for (const path of ["", "rateLimits"]) {
    const unknown: unknown = JSON.parse(`{ "${name}": 1 }`);
    const rule = "must have no member named __proto__, prototype or constructor";
    const setting = path || "the configuration file";
    expect(problemsOf({ file: path === "" ? unknown : { [path]: unknown } })).toEqual([{ setting, rule }]);
  }
});

test("an IPv6 address may have the brackets that it has in a URL", () => {
  expect(resolve({ environment: { HOST: "[::1]" } })).toMatchObject({ host: "::1", console: true });
});

test("a host must be an address or a name without scheme, path and port, wherever it is set", () => {
  for (const host of [
    "0.0.0.0",
    "::",
    "fe80::1%eth0",
    "::ffff:127.0.0.1",
    "gateway.internal",
    "my_host",
    "LOCALHOST",
    "例え.jp",
    "हिन्दी.भारत",
  ]) {
    expect(resolve({ file: { host } })).toMatchObject({ host });
  }
  const environment = { ADMIN_TOKEN: "x".repeat(32) };
  for (const host of [
    ...[
      "/tmp/x.sock",
      "http://127.0.0.1",
      "127.0.0.1:80",
      "localhost:80",
      "[::1]:80",
      "300.1.1.1",
      " 127.0.0.1",
      "*",
      "bad host",
    ],
    ...["1::2::3", "::1%", "10.0.0.0/8", "user@host", "host?", "a\tb", "\0", "%41", "..", "host%eth0"],
  ]) {
    const settings = [
      problemsOf({ flags: { host } }),
      problemsOf({ environment: { HOST: host } }),
      problemsOf({ file: { host } }),
      problemsOf({ environment, file: { admin: { port: 1, host, allowRemote: true } } }),
      problemsOf({ environment, file: { admin: { port: 1, host } } }),
    ].map((problems) => problems.map(({ setting, rule }) => `${setting} ${rule}`));
    const rule = "must be an IP address or a host name, without a scheme or a port; unix sockets are not supported";
    expect([host, settings]).toEqual([
      host,
      [[`--host ${rule}`], [`HOST ${rule}`], [`host ${rule}`], [`admin.host ${rule}`], [`admin.host ${rule}`]],
    ]);
  }
});

test("every unknown setting of an object is named, next to those of other objects", () => {
  const file: unknown = JSON.parse(
    '{"foo":1,"ADMIN_TOKEN":"secret123","upstream":{"a":1,"b":2},"admin":{"c":1,"port":0,"d":1}}',
  );
  const problems = problemsOf({ file });
  expect(problems.map(({ setting }) => setting)).toEqual([
    "upstream.a",
    "upstream.b",
    "admin.c",
    "admin.d",
    "foo",
    "ADMIN_TOKEN",
  ]);
  expect(problems.at(-1)?.rule).toContain("if it is a secret");
  expect(JSON.stringify(problems)).not.toContain("secret123");
});

test("the console is on by default for interactive use on loopback, and elsewhere only if it is enabled", () => {
  const isOn = (flags: Readonly<Record<string, string | undefined>>, file: object = {}): unknown => {
    const resolved = resolveSettings({ flags, environment: {}, file });
    return resolved.ok && resolved.settings.console;
  };
  expect([isOn({}), isOn({ host: "localhost" }), isOn({ host: "::1" })]).toEqual([true, true, true]);
  expect([isOn({ log: "json" }), isOn({ host: "0.0.0.0" }), isOn({ host: "10.0.0.1" })]).toEqual([false, false, false]);
  expect(isOn({ log: "json", console: undefined })).toBe(true);
  expect(isOn({ host: "0.0.0.0" }, { console: { enabled: true } })).toBe(true);
  expect(isOn({}, { console: { enabled: false } })).toBe(false);
});

test("the command line overrides the environment, which overrides the file, and an empty variable counts as absent", () => {
  const file = { host: "file", port: 1, dataDir: "file", log: "json" };
  const environment = { HOST: "environment", PORT: "2", DATA_DIR: "" };
  expect(resolve({ flags: { host: "flag" }, environment, file })).toMatchObject({
    host: "flag",
    port: 2,
    dataDir: "file",
    maxOpenFiles: null,
    log: "json",
  });
});

test("the credential of an upstream comes from the environment only", () => {
  const file = { upstream: { url: "https://api.example/x/", timeoutMs: 5, maxResponseBytes: 6 } };
  expect(resolve({ file, environment: { LETTA_API_KEY: "sk-1" } })).toMatchObject({
    upstreamTimeoutMs: 5,
    maxConcurrentPerTenant: 128,
    upstream: {
      kind: "http",
      baseUrl: { origin: "https://api.example", basePath: "/x" },
      credential: "sk-1",
      maxResponseBytes: 6,
    },
  });
  expect(problemsOf({ file: { upstream: { apiKey: "sk-1" } } })).toEqual([
    { setting: "upstream.apiKey", rule: expect.stringContaining("if it is a secret, put it into the environment") },
  ]);
});

test("http: beyond loopback is refused unless the file allows it", () => {
  const environment = { UPSTREAM_URL: "http://10.0.0.1" };
  expect(problemsOf({ environment })).toMatchObject([
    { setting: "UPSTREAM_URL", rule: "must be https: (http: is for loopback, or with upstream.allowInsecure)" },
  ]);
  expect(resolve({ environment, file: { upstream: { allowInsecure: true } } }).upstream.kind).toBe("http");
});

test("a public URL keeps its path and loses its trailing slash", () => {
  expect(resolve({ flags: { "public-url": "https://gateway.example/base/" } }).publicUrl).toBe(
    "https://gateway.example/base",
  );
});

describe("invalid settings", () => {
  test.each([
    [{ flags: { port: "80x" } }, "--port"],
    [{ environment: { PORT: "65536" } }, "PORT"],
    [{ flags: { log: "xml" } }, "--log"],
    [{ flags: { host: "" } }, "--host"],
    [{ environment: { PUBLIC_URL: "ws://x" } }, "PUBLIC_URL"],
    [{ file: { publicUrl: "https://user:secret@x" } }, "publicUrl"],
    [{ file: { port: 1.5 } }, "port"],
    [{ file: { upstream: { timeoutMs: 0 } } }, "upstream.timeoutMs"],
    [{ file: { upstream: "https://api.example" } }, "upstream"],
    [{ file: { hots: "x" } }, "hots"],
    [{ file: [] }, "the configuration file"],
    [{ file: "text" }, "the configuration file"],
    [{ file: null }, "the configuration file"],
    [{ file: { upstream: [] } }, "upstream"],
    [{ environment: { VALKEY_URL: "http://:secret@x" } }, "VALKEY_URL"],
    [{ environment: { UPSTREAM_URL: "https://x.example", LETTA_API_KEY: "a\nb" } }, "UPSTREAM_URL"],
  ] as const)(
    "an invalid setting is reported with the place where it was set, without its value: %j",
    (sources, setting) => {
      const problems = problemsOf(sources);
      expect(problems.map((problem) => problem.setting)).toEqual([setting]);
      expect(JSON.stringify(problems)).not.toContain("secret");
    },
  );

  test("a query in the Valkey URL is refused with the setting to use instead", () => {
    const problems = problemsOf({ environment: { VALKEY_URL: "valkey://:secret@x?db=1" } });
    expect(problems).toEqual([{ setting: "VALKEY_URL", rule: expect.stringMatching(/no query: .*database.*path/) }]);
    expect(JSON.stringify(problems)).not.toContain("secret");
  });

  test("all invalid settings are reported at once", () => {
    expect(problemsOf({ flags: { port: "x", log: "x" } })).toHaveLength(2);
  });
});
