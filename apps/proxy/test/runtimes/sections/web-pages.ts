import { expect, test } from "vitest";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** The origin that the suite's configuration lists. */
export const listedOrigin = "https://console.example";

/** Web pages: who may call, and read what. */
export function describeWebPages(gateway: GatewayUnderTest): void {
  test("a preflight of a listed origin needs no key", async () => {
    const headers = { origin: listedOrigin, "access-control-request-method": "GET" };
    const answer = await gateway.ask("/v1/environments", { method: "OPTIONS", headers });
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expect(answer.headers.get("access-control-allow-origin")).toBe(listedOrigin);
    expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
  });

  test("pages of a listed origin can read errors, and pages of other origins cannot", async () => {
    const listed = await gateway.ask("/v1/environments", { headers: { origin: listedOrigin } });
    expect([listed.status, listed.headers.get("access-control-allow-origin")]).toEqual([401, listedOrigin]);
    const other = await gateway.ask("/v1/environments", { headers: { origin: "https://evil.example" } });
    expect(other.headers.get("access-control-allow-origin")).toBeNull();
    for (const { headers } of [listed, other]) expect(headers.get("vary")).toBe("Origin");
  });

  test("a preflight of another origin is 405", async () => {
    const headers = { origin: "https://evil.example", "access-control-request-method": "GET" };
    expect((await gateway.ask("/v1/environments", { method: "OPTIONS", headers })).status).toBe(405);
  });
}
