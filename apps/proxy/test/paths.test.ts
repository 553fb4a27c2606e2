/** No id, however it is encoded, leads to another path of the upstream. */
import { buildPath, endpoints, isIdentifier } from "@letta-environments/schema";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { UpstreamRequest } from "../src/ports.ts";
import { type UpstreamBaseUrl, upstreamTarget } from "../src/upstream/settings.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { knownConnections } from "./support/known-connections.ts";
import { createTestProxy, emptyUpstream } from "./support/test-proxy.ts";

const bodyOf = (messageId: string): string =>
  JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: messageId }] });
const body = bodyOf("m");

/** A byte as it is, percent-encoded once in either case, or encoded twice. */
function spelling(character: string): fc.Arbitrary<string> {
  const hex = character.charCodeAt(0).toString(16).padStart(2, "0");
  return fc.constantFrom(character, `%${hex}`, `%${hex.toUpperCase()}`, `%25${hex}`);
}

const dangerous = fc
  .constantFrom(".", "/", "\\", "\0", "\r", "\n", "?", "#", ";", "%", "@", ":", " ", "a")
  .chain(spelling);
const overlong = fc.constantFrom("%c0%ae", "%c0%af", "%e0%80%ae", "%ff", "%", "%2", "%zz", "%u002e", "．", "／");
const rawId = fc
  .array(fc.oneof({ weight: 5, arbitrary: dangerous }, overlong), { minLength: 1, maxLength: 8 })
  .map((parts) => parts.join(""));

const positions = [
  ["deviceId", "GET", (id: string) => `/v1/environments/${id}`, /^\/v1\/environments\/[A-Za-z0-9._~%-]{1,384}$/],
  [
    "connectionId",
    "POST",
    (id: string) => `/v1/environments/${id}/messages`,
    /^\/v1\/environments\/[A-Za-z0-9._~%-]{1,384}\/messages$/,
  ],
] as const;

const base: UpstreamBaseUrl = { origin: "https://upstream.example", basePath: "/base" };

/** Where a request would go, as a URL parser sees it. */
function pathnameOf({ path, query }: UpstreamRequest): string {
  return new URL(base.origin + upstreamTarget(base, path, query)).pathname.slice("/base".length);
}

function decodeOnce(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

describe.each(positions)("the %s", (_member, method, pathOf, expected) => {
  test("an id from %s stays one segment of the upstream's path, or the request is refused", async () => {
    let [listed, count] = ["", 0];
    // The upstream lists every requested id, so that none is refused as unknown.
    const testProxy = createTestProxy((...call) => knownConnections(emptyUpstream, [listed])(...call));
    const { key } = await testProxy.issueKey();
    await fc.assert(
      fc.asyncProperty(rawId, async (id) => {
        testProxy.upstreamRequests.length = 0;
        listed = decodeOnce(id);
        // A repeat of a message that was sent before does not reach the upstream.
        const ownBody = bodyOf(`m-${(count += 1)}`);
        const response = await testProxy.proxy.handle(fakeRequest({ method, path: pathOf(id), key, body: ownBody }));
        const request = testProxy.upstreamRequests.find(({ path }) => path !== endpoints.listEnvironments.path);
        if (request === undefined) {
          expect([400, 404, 405]).toContain(response.status);
          return;
        }
        const decoded = decodeURIComponent(pathnameOf(request).split("/")[3] ?? "");
        expect(pathnameOf(request)).toMatch(expected);
        expect(isIdentifier(decoded)).toBe(true);
        expect(decoded).toBe(decodeURIComponent(id));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    "..",
    ".",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%2e",
    "..%2Fagents",
    "..%2fagents%2Fx",
    "..%5Cagents",
    "..\\agents",
    "%2e%2e%2fagents",
    "a%00b",
    "a%0d%0aX:1",
    "a%3Fx=1",
    "a%23",
    "a?x",
    "%252e%252e%252f",
    "a;x=..",
    "register",
    "%72egister",
  ])("the path %s never reaches the upstream", async (id) => {
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey();
    const response = await testProxy.proxy.handle(fakeRequest({ method, path: pathOf(id), key, body }));
    expect([400, 404, 405]).toContain(response.status);
    expect(testProxy.upstreamRequests).toEqual([]);
  });
});

test("every valid id reaches exactly its own upstream path", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9._~:-]{1,128}$/).filter(isIdentifier), (id) => {
      const path = buildPath(endpoints.retrieveEnvironment, { deviceId: id });
      const url = new URL(base.origin + upstreamTarget(base, path, ""));
      expect(url.origin).toBe("https://upstream.example");
      expect(decodeURIComponent(url.pathname)).toBe(`/base/v1/environments/${id}`);
      expect(url.search + url.hash).toBe("");
    }),
  );
});

test("an upstream path that a URL parser would change is never requested", () => {
  const changed = [
    "/v1/../agents",
    "/v1/%2e%2e/agents",
    "/v1/.%2E",
    "/v1\\agents",
    "/v1?x",
    "/v1#x",
    "/v1/\n",
    "//v1",
    "/v1/",
    "",
  ];
  for (const path of changed) expect(() => upstreamTarget(base, path, "")).toThrow(RangeError);
  const characters = fc.constantFrom(
    "/",
    ".",
    "%2e",
    "%2E",
    "%",
    "2",
    "e",
    "a",
    ":",
    "@",
    "\\",
    "?",
    "#",
    " ",
    "\t",
    "é",
  );
  fc.assert(
    fc.property(fc.array(characters, { maxLength: 8 }), (parts) => {
      const path = `/${parts.join("")}`;
      let target;
      try {
        target = upstreamTarget(base, path, "");
      } catch (cause) {
        expect(cause).toBeInstanceOf(RangeError);
        return;
      }
      expect(new URL(base.origin + target)).toMatchObject({
        origin: base.origin,
        pathname: `/base${path}`,
        search: "",
        hash: "",
      });
    }),
  );
});
