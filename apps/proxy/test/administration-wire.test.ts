/** The administration of keys over HTTP: methods, paths, bodies, and malformed requests. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { administer, withAdmin } from "./support/administer.ts";
import { createTestProxy, emptyUpstream } from "./support/test-proxy.ts";

describe("methods, paths and bodies of the administration", () => {
  test.each([
    ["DELETE", "", "GET, HEAD, POST"],
    ["PUT", "/abcdefghijkl", "GET, HEAD, PATCH"],
    ["GET", "/abcdefghijkl/rotate", "POST"],
    ["OPTIONS", "/abcdefghijkl/revoke", "POST"],
  ])("the request %s %s is 405 with %s", async (method, path, allow) => {
    expect(await (await withAdmin()).ask({ method, path })).toMatchObject({ status: 405, headers: { allow } });
  });

  test.each(["/", "/abcdefghijkl/", "/abcdefghijkl/enable", "/a/b/c"])(
    "the path %s of the administration does not exist, with or without a key",
    async (path) => {
      const { testProxy, ask } = await withAdmin();
      expect((await ask({ path })).body.errorCode).toBe("endpoint_not_found");
      expect((await administer(testProxy, undefined, { path })).body.errorCode).toBe("endpoint_not_found");
    },
  );

  test("HEAD of the administration returns the headers of GET without a body", async () => {
    const { adminId, ask } = await withAdmin();
    for (const path of ["", `/${adminId}`]) {
      const [head, get] = [await ask({ method: "HEAD", path }), await ask({ method: "GET", path })];
      expect([head.status, head.text]).toEqual([200, "null"]);
      const { "x-request-id": _of, ...headers } = get.headers;
      expect(head.headers).toMatchObject(headers);
    }
  });

  test.each([
    [{ body: "{", method: "POST" }, 400, "malformed_json"],
    [{ body: "[]", method: "POST" }, 400, "invalid_request"],
    [{ body: '"x"', method: "POST" }, 400, "invalid_request"],
    [{ method: "POST" }, 400, "malformed_json"],
    [{ body: { name: "n" }, headers: { "content-type": "text/plain" } }, 415, "unsupported_media_type"],
    [{ body: { name: "n" }, headers: { "content-encoding": "gzip" } }, 415, "unsupported_media_type"],
    [{ body: " ".repeat(1_048_577) }, 413, "body_too_large"],
    [{ path: "/%2e%2e" }, 400, "invalid_id"],
  ] as const)("the administration request %j is %d %s", async (call, status, code) => {
    const answer = await (await withAdmin()).ask(call);
    expect([answer.status, answer.body.errorCode]).toEqual([status, code]);
  });
});

test("a patch of another type is refused with the types that are accepted", async () => {
  const { adminId, ask } = await withAdmin();
  const call = { path: `/${adminId}`, body: { name: "n" }, headers: { "content-type": "application/xml" } };
  const patch = await ask({ ...call, method: "PATCH" });
  expect(patch).toMatchObject({
    status: 415,
    headers: { "accept-patch": "application/merge-patch+json, application/json" },
    body: { detail: expect.stringContaining("application/merge-patch+json or application/json") },
  });
  const rotation = await ask({ ...call, method: "POST", path: `/${adminId}/rotate` });
  expect([rotation.status, rotation.headers["accept-patch"]]).toEqual([415, undefined]);
});

test("no body and no query causes a 500, and a refused request changes nothing", async () => {
  const names = ["name", "scopes", "deviceIds", "maxMode", "expiresAt", "disabled", "overlapMs", "__proto__", "x"];
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("n", 0, 1e308, -1, null, ["list"], true));
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom(...names), value).map((members) => JSON.stringify(members)),
    fc.json(),
    fc.string(),
  );
  const target = fc.constantFrom("", "/SELF", "/SELF/rotate", "/SELF/revoke", "/abcdefghijkl/revoke");
  const call = fc.record({
    method: fc.constantFrom("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"),
    path: target,
    query: fc.oneof(fc.webQueryParameters(), fc.constantFrom("limit=1", "state=active", "%", "&&", "limit=%00")),
    body: fc.option(body, { nil: undefined }),
  });
  await fc.assert(
    fc.asyncProperty(call, async (given) => {
      const { testProxy, adminId, ask } = await withAdmin();
      const before = JSON.stringify(await testProxy.keyStore.list());
      const { status } = await ask({ ...given, path: given.path.replace("SELF", adminId) });
      expect([200, 201, 400, 403, 404, 405]).toContain(status);
      if (status > 201) expect(JSON.stringify(await testProxy.keyStore.list())).toBe(before);
    }),
    { numRuns: 300 },
  );
});

test("a gateway without the administration ports has no administration", async () => {
  const given = createTestProxy();
  const { key } = await given.issueKey({ scopes: ["admin"] });
  const without = createTestProxy(emptyUpstream, { ports: { keyStore: given.keyStore, admin: undefined } });
  expect((await administer(without, key)).body.errorCode).toBe("endpoint_not_found");
});
