import { expect, test } from "vitest";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** The configuration of the gateway that these tests need. */
export const fewRequests = { rateLimits: { policies: { few: { per: ["key"], limit: 3, windowMs: 600_000 } } } };

/** Rate limits: how many requests are admitted, and the response to the others. */
export function describeLimits(gateway: GatewayUnderTest): void {
  test("exactly three of ten concurrent requests are admitted, and the others get Retry-After", async () => {
    const { key } = await gateway.createKey({ scopes: ["list"] });
    const answers = await Promise.all(Array.from({ length: 10 }, () => gateway.ask("/v1/environments", { key })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(7);
    for (const { headers, json } of refused) {
      expect(json["errorCode"]).toBe("rate_limited");
      expect(headers.get("ratelimit-policy")).toBe('"few";q=3;w=600');
      expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
    }
  });

  test("each key has its own quota, and responses report what remains", async () => {
    const { key } = await gateway.createKey({ scopes: ["list"] });
    const answer = await gateway.ask("/v1/environments", { key });
    expect(answer.headers.get("ratelimit")).toMatch(/^"few";r=2;t=\d+$/);
    const left = await gateway.ask("/v1/ratelimit", { key });
    expect([left.status, left.headers.get("content-type")]).toEqual([200, "application/json"]);
  });
}
