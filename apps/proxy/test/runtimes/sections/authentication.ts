import { expect, test, vi } from "vitest";
import type { Answer, GatewayUnderTest } from "../use-gateway.ts";

/** Accepted keys, and the response to requests without one. */
export function describeAuthentication(gateway: GatewayUnderTest): void {
  const list = (key?: string): Promise<Answer> => gateway.ask("/v1/environments", key === undefined ? {} : { key });

  test("a request without a key is 401 with a challenge, and the upstream is not called", async () => {
    const before = gateway.upstream.seen.length;
    const answer = await list();
    expect([answer.status, answer.json["errorCode"]]).toEqual([401, "missing_key"]);
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer realm=/);
    expect(gateway.upstream.seen).toHaveLength(before);
  });

  test.each([
    ["a malformed key", "lek_wrong"],
    ["a well-formed key that was never created", "lek_000000000000_0000000000000000000000000000000000000000000000000"],
    ["the upstream's own credential", "sk-of-the-upstream"],
  ])("a wrong key is 401: %s", async (_what, key) => {
    const answer = await list(key);
    expect([answer.status, answer.json["errorCode"]]).toEqual([401, "invalid_key"]);
    expect(answer.headers.get("x-should-retry")).toBe("false");
  });

  test("a key can list environments, and the upstream receives the gateway's credential, never the key", async () => {
    const key = await gateway.keyFor("list", "read");
    const answer = await list(key);
    expect(answer.status).toBe(200);
    const seen = gateway.upstream.seen.at(-1);
    expect(seen?.headers.authorization).toBe("Bearer sk-of-the-upstream");
    expect(JSON.stringify(gateway.upstream.seen)).not.toContain(key);
    expect(answer.text).not.toContain("sk-of-the-upstream");
  });

  test("a request that needs a scope that the key lacks is 403", async () => {
    const key = await gateway.keyFor("list");
    const answer = await gateway.ask("/v1/environments/device-1", { key });
    expect([answer.status, answer.json["errorCode"]]).toEqual([403, "insufficient_scope"]);
  });

  test("a device outside a key's restrictions is 404", async () => {
    const { key } = await gateway.createKey({ scopes: ["list", "read"], deviceIds: ["another"] });
    expect((await gateway.ask("/v1/environments/device-1", { key })).status).toBe(404);
    const listed = await list(key);
    expect([listed.status, listed.json["connections"]]).toEqual([200, []]);
  });

  test("a revoked key is refused within seconds", async () => {
    const { id, key } = await gateway.createKey({ scopes: ["list"] });
    expect((await list(key)).status).toBe(200);
    await gateway.gateway.revokeKey(id);
    const refused = await vi.waitUntil(
      async () => {
        const answer = await list(key);
        return answer.status === 200 ? null : answer;
      },
      { timeout: 20_000, interval: 50 },
    );
    expect([refused.status, refused.json["errorCode"]]).toEqual([401, "invalid_key"]);
  });
}
