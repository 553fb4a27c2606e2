import { expect, test } from "vitest";
import { resolveSettings } from "./resolve.ts";

const token = "0123456789abcdef0123456789abcdef";

function resolve(file: unknown, environment: Record<string, string> = { ADMIN_TOKEN: token }): unknown {
  const resolved = resolveSettings({ flags: {}, environment, file });
  return resolved.ok ? resolved.settings.admin : resolved.problems.map(({ setting }) => setting);
}

test("there is no administration listener unless it has a port", () => {
  expect(resolve({})).toBeNull();
  expect(resolve({ admin: {} })).toEqual(["admin.port"]);
});

test("the administration listener is on loopback by default, and another host must be allowed explicitly", () => {
  expect(resolve({ admin: { port: 1 } })).toEqual({ host: "127.0.0.1", port: 1, hostnames: [], token });
  for (const host of ["0.0.0.0", "10.0.0.1", "::", "gateway.internal", "127.evil.example"]) {
    expect(resolve({ admin: { port: 1, host } })).toEqual(["admin.host"]);
    expect(resolve({ admin: { port: 1, host, allowRemote: true } })).toMatchObject({ host });
  }
  for (const host of ["localhost", "::1", "127.0.0.2"]) {
    expect(resolve({ admin: { port: 1, host, hostnames: ["x"] } })).toMatchObject({ host, hostnames: ["x"] });
  }
  expect(resolve({ admin: { port: 1, host: "[::1]" } })).toMatchObject({ host: "::1" });
});

test.each([
  [{ port: 1, admin: { port: 1 } }, {}],
  [{ admin: { port: 1 } }, { PORT: "1" }],
  [{ port: 1, host: "0.0.0.0", admin: { port: 1 } }, {}],
  [{ port: 1, admin: { port: 1, host: "::", allowRemote: true } }, {}],
])("both listeners cannot have one port of one address: %j", (file, variables) => {
  expect(resolve(file, { ADMIN_TOKEN: token, ...variables })).toEqual(["admin.port"]);
});

test.each([
  { port: 0, admin: { port: 0 } },
  { port: 1, admin: { port: 2 } },
  { port: 1, admin: { port: 1, host: "::1" } },
  { port: 1, host: "0.0.0.0", admin: { port: 1, host: "::1" } },
])("two listeners have two ports or two addresses: %j", (file) => {
  expect(resolve(file)).toMatchObject(file.admin);
});

test.each([undefined, "", token.slice(1), `${token.slice(1)} `, `${token}\u00e9`])(
  "the administration listener is refused with %j as the operator's token, which is not repeated",
  (bad) => {
    const environment: Record<string, string> = bad === undefined ? {} : { ADMIN_TOKEN: bad };
    const resolved = resolveSettings({ flags: {}, environment, file: { admin: { port: 1 } } });
    if (resolved.ok) throw new Error("it opens");
    expect(resolved.problems.map(({ setting }) => setting)).toEqual(["ADMIN_TOKEN"]);
    if (bad !== undefined && bad !== "") expect(JSON.stringify(resolved.problems)).not.toContain(bad);
  },
);

test("settings without an administration listener need no operator's token", () => {
  const resolved = resolveSettings({
    ...{ flags: {}, environment: {}, file: { admin: { port: 1 } } },
    withoutAdminToken: true,
  });
  expect(resolved).toMatchObject({ ok: true, settings: { admin: { port: 1 } } });
});

test("the operator's token is not a member of the file", () => {
  expect(resolve({ admin: { port: 1, token } })).toEqual(["admin.token"]);
});

test("the scope admin cannot be mapped from the claims of a token", () => {
  const jwt = { issuer: "i", audience: "a", jwksUrl: "https://i.example", tenant: "t", scopeMap: { root: ["admin"] } };
  expect(resolve({ auth: { jwt } })).toEqual(["auth.jwt.scopeMap.root[0]"]);
});
