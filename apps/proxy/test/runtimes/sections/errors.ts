import { once } from "node:events";
import { expect, test } from "vitest";
import { openSocket, readToEnd, requestHead } from "../../support/raw-http.ts";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** Headers of every response, health checks, and the form of errors. */
export function describeErrors({ name }: Pick<RuntimeLauncher, "name">, gateway: GatewayUnderTest): void {
  test.each([
    ["GET", "/", 404],
    ["GET", "/v1/nothing", 404],
    ["GET", "/v1/environments/", 404],
    ["POST", "/v1/environments/register", 404],
    ["DELETE", "/v1/environments", 405],
    ["PUT", "/v1/environments/device-1", 405],
    ["POST", "/livez", 405],
    ["GET", "/admin/v1/nothing", 404],
  ])("%s %s is a problem with status %d", async (method, path, status) => {
    const key = await gateway.keyFor("list", "read", "send");
    const answer = await gateway.ask(path, { method, key });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.json).toMatchObject({ status, type: expect.any(String), errorCode: expect.any(String) });
  });

  test("a request with an unknown method gets its own response, although one of its headers contains the request before it", async () => {
    const socket = await openSocket(gateway.url);
    const received = readToEnd(socket);
    socket.write("GET /nothing HTTP/1.1\r\nHost: gateway.example\r\n\r\n");
    await once(socket, "data");
    socket.write(requestHead("FOO", "/v1/environments", { x: "get /nothing HTTP/1.1" }));
    const refusal = name === "workerd" ? "501" : "405";
    expect((await received).match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(["404", refusal]);
  });

  test("every response has a request id, the client's if it is safe, and must not be stored by shared caches", async () => {
    const own = await gateway.ask("/v1/environments", { headers: { "x-request-id": "mine-1" } });
    const unsafe = await gateway.ask("/livez", { headers: { "x-request-id": "a b" } });
    expect(own.headers.get("x-request-id")).toBe("mine-1");
    expect(unsafe.headers.get("x-request-id")).toMatch(/^req-/);
    for (const { headers } of [own, unsafe]) {
      expect(headers.get("cache-control")).toBe("private, no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
  });

  test("health checks need no key and call no upstream", async () => {
    const before = gateway.upstream.seen.length;
    expect((await gateway.ask("/livez")).json).toEqual({ status: "alive" });
    expect((await gateway.ask("/readyz")).json).toEqual({ status: "ready" });
    expect((await gateway.ask("/readyz?verbose")).text).toMatch(/^(?:\[\+\]\w+ ok\n)+readyz check passed\n$/);
    const head = await gateway.ask("/livez", { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(gateway.upstream.seen).toHaveLength(before);
  });

  test("/openapi.json needs no key, and a request with its entity tag is 304", async () => {
    const answer = await gateway.ask("/openapi.json");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(answer.json).toMatchObject({ openapi: "3.1.1", paths: { "/v1/environments": { get: {} } } });
    const entityTag = answer.headers.get("etag") ?? "";
    const again = await gateway.ask("/openapi.json", { headers: { "if-none-match": entityTag } });
    expect([again.status, again.text]).toEqual([304, ""]);
  });

  const renamed: readonly (readonly [status: number, code: string])[] = [
    [405, "upstream_error"],
    [407, "upstream_credential_rejected"],
    [408, "upstream_error"],
    [421, "upstream_error"],
    [426, "upstream_error"],
  ];
  // The `fetch` of a Worker's platform may refuse 407 itself.
  const received = renamed.filter(([status]) => status !== 407 || name !== "workerd");
  test.each(received)(
    "status %d of the upstream is 502 %s: with its own status, callers would miss a header, or repeat the request",
    async (status, code) => {
      const key = await gateway.keyFor("list", "read", "send");
      const answer = await gateway.ask(`/v1/environments/status-${status}`, { key });
      expect([answer.status, answer.json["errorCode"]]).toEqual([502, code]);
    },
  );

  test("an invalid query is 400 and names the parameter", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const answer = await gateway.ask("/v1/environments?limit=0", { key });
    expect([answer.status, answer.json["errorCode"]]).toEqual([400, "invalid_request"]);
    expect(answer.text).toContain("limit");
  });
}
