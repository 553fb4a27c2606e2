import { describe, expect, test } from "vitest";
import { resolveSettings } from "./resolve.ts";
import type { Settings } from "./settings.ts";

const jwt = {
  issuer: "https://issuer.example",
  audience: "gateway",
  jwksUrl: "https://issuer.example/jwks?p=1",
  claims: { tenant: "org" },
};
const upstream = { url: "https://api.example" };

function resolve(file: unknown, environment: Record<string, string> = {}): Settings {
  const resolved = resolveSettings({ flags: {}, environment, file });
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  return resolved.settings;
}

function problemsOf(file: unknown, environment: Record<string, string> = {}): readonly string[] {
  const resolved = resolveSettings({ flags: {}, environment, file });
  return resolved.ok ? [] : resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`);
}

test("JWTs are off without auth.jwt, which requires only issuer, audience, keys and tenant", () => {
  expect(resolve({}).jwt).toBeNull();
  expect(resolve({ auth: { jwt } }).jwt).toMatchObject({
    audience: ["gateway"],
    algorithms: ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"],
    type: "at+jwt",
    clockToleranceMs: 5_000,
    claims: { tenant: "org", scopes: "scope", owner: "sub", deviceIds: null },
  });
});

test("pass-through needs an HTTP upstream, from any source of its URL", () => {
  const file = { auth: { passThrough: true } };
  expect(problemsOf(file)).toMatchObject([expect.stringMatching(/^auth\.passThrough needs an HTTP upstream/)]);
  expect(resolve(file, { UPSTREAM_URL: "https://api.example" }).passThrough).toBe(true);
  expect(problemsOf(file, { UPSTREAM_URL: "ftp://x" })).toMatchObject([expect.stringMatching(/^UPSTREAM_URL /)]);
});

test("the credential of a tenant comes from its variable or its file", () => {
  const tenants = { a: { upstream: { credentialEnv: "KEY_A" } }, b: { upstream: { credentialFile: "b.key" } }, c: {} };
  const resolved = resolve({ upstream, tenants }, { KEY_A: "sk-a" }).tenants;
  expect(resolved.get("a")?.credential).toEqual({ kind: "environment", variable: "KEY_A", value: "sk-a" });
  expect(resolved.get("b")?.credential).toEqual({ kind: "file", path: "b.key" });
  expect(resolved.get("c")?.credential).toBeNull();
});

describe("errors and their paths", () => {
  const withJwt = (changes: object) => ({ auth: { jwt: { ...jwt, ...changes } } });
  test.each([
    [{ auth: { jwt: { issuer: "i", audience: "a" } } }, "auth.jwt.jwksUrl is required"],
    [withJwt({ algorithms: ["HS256"] }), "auth.jwt.algorithms[0] must be one of RS256"],
    [withJwt({ algorithms: ["none"] }), "auth.jwt.algorithms[0] must be one of RS256"],
    [withJwt({ jwksUrl: "http://issuer.example" }), "auth.jwt.jwksUrl must be https:"],
    [withJwt({ jwksUrl: "https://user:pass@issuer.example" }), "auth.jwt.jwksUrl must not contain"],
    [withJwt({ audience: [] }), "auth.jwt.audience "],
    [withJwt({ claims: {} }), "auth.jwt needs exactly one of tenant"],
    [withJwt({ tenant: "t1" }), "auth.jwt needs exactly one of tenant"],
    [withJwt({ tenant: "passthrough:x", claims: {} }), "auth.jwt.tenant must be an id"],
    [withJwt({ jwksStaleMs: 1_000 }), "auth.jwt.jwksStaleMs must not be less"],
    [withJwt({ scopeMap: { a: ["everything"] } }), "auth.jwt.scopeMap.a[0] must be one of list"],
    [withJwt({ claims: { tenant: "org", role: "x" } }), "auth.jwt.claims.role is not a setting"],
    [withJwt({ claims: { tenant: 5 } }), "auth.jwt.claims.tenant must be the name of a claim"],
    [{ upstream, tenants: [] }, "tenants must be an object"],
    [{ upstream, tenants: { "a/b": {} } }, "tenants.a/b must be an id"],
    [
      { upstream, tenants: { é: {} } },
      "tenants.é must be an id that does not start with 'passthrough:': 1 to 128 characters",
    ],
    [withJwt({ claims: {}, tenant: "a b" }), "from A-Z a-z 0-9 . _ ~ : -"],
    [{ upstream, tenants: { "passthrough:a": {} } }, "tenants.passthrough:a must be an id"],
    [{ upstream, tenants: { a: { deviceIds: [] } } }, "tenants.a.deviceIds must not be empty"],
    [{ upstream, tenants: { a: { deviceIds: ["x/y"] } } }, "tenants.a.deviceIds must be a list of device ids"],
    [{ upstream, tenants: { a: { upstream: { credentialEnv: "UNSET" } } } }, "tenants.a.upstream names a variable"],
    [
      { upstream, tenants: { a: { upstream: { credentialEnv: "A", credentialFile: "b" } } } },
      "tenants.a.upstream must have one of",
    ],
    [{ tenants: { a: { upstream: { credentialFile: "b" } } } }, "tenants.a.upstream needs an HTTP upstream"],
    [{ cors: {} }, "cors.origins is required"],
    [{ cors: { origins: ["*"] } }, "cors.origins[0] must be one exact origin"],
    [{ cors: { origins: ["https://a.example", "https://*.a.example"] } }, "cors.origins[1] must be one exact origin"],
    [{ cors: { origins: ["https://a.example/"] } }, "cors.origins[0] must be written as browsers send it"],
    [{ cors: { origins: ["null"] } }, "cors.origins[0] must be an origin"],
  ])("an error names the path of the setting: %j", (file, expected) => {
    expect(problemsOf(file)).toEqual([expect.stringContaining(expected)]);
  });
});

describe("secrets in the file", () => {
  test.each([
    { keyPepper: "hunter2" },
    { upstream: { ...upstream, credential: "hunter2" } },
    { LETTA_API_KEY: "hunter2" },
    { KEY_PEPPER: "hunter2" },
    { upstream, tenants: { a: { upstream: { apiKey: "hunter2" } } } },
    { auth: { jwt: { ...jwt, clientSecret: "hunter2" } } },
  ])("a secret in the file is refused with the place where it belongs, and not repeated: %j", (file) => {
    const problems = problemsOf(file);
    expect(problems).toEqual([expect.stringContaining("put it into the environment")]);
    expect(problems.join()).not.toContain("hunter2");
  });

  test("a secret in place of the name of its variable is refused and not repeated", () => {
    const problems = problemsOf({ upstream, tenants: { a: { upstream: { credentialEnv: "sk-let-hunter2" } } } });
    expect(problems).toEqual(["tenants.a.upstream has a credentialEnv that is not the name of a variable"]);
  });
});
