import { expect, test } from "vitest";
import type { GatewayUnderTest } from "../use-gateway.ts";
import { message } from "./sending.ts";

/** Cached responses, and what invalidates them. */
export function describeCaching(gateway: GatewayUnderTest): void {
  const path = "/v1/environments/device-1";

  test("the first read is a cache miss, and the next one a hit with the same body, as Cache-Status says", async () => {
    // A query that no other test uses.
    const key = await gateway.keyFor("list", "read", "send");
    const first = await gateway.ask("/v1/environments?limit=7", { key });
    const second = await gateway.ask("/v1/environments?limit=7", { key });
    expect(first.headers.get("cache-status")).toContain("fwd=uri-miss");
    expect(second.headers.get("cache-status")).toContain("hit");
    expect(second.text).toBe(first.text);
  });

  test("a request with the current entity tag is 304 without a body", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const first = await gateway.ask(path, { key });
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^W\/"/);
    const again = await gateway.ask(path, { key, headers: { "if-none-match": etag } });
    expect([again.status, again.text]).toEqual([304, ""]);
    expect(again.headers.get("etag")).toBe(etag);
  });

  test("a send invalidates the cached response of its device", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    await gateway.ask(path, { key });
    expect((await gateway.ask(path, { key })).headers.get("cache-status")).toContain("hit");
    const sent = await gateway.ask("/v1/environments/conn-1/messages", { key, body: message("ends-the-cache") });
    expect(sent.status).toBe(200);
    expect((await gateway.ask(path, { key })).headers.get("cache-status")).not.toContain("hit");
  });

  test("a key without the permission gets no cached response of other keys", async () => {
    await gateway.ask(path, { key: await gateway.keyFor("list", "read", "send") });
    expect((await gateway.ask(path)).status).toBe(401);
    expect((await gateway.ask(path, { key: await gateway.keyFor("list") })).status).toBe(403);
  });
}
