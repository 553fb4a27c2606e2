import { afterAll, beforeAll, expect, test } from "vitest";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";

let underTest: NodeServerUnderTest;
let url: string;

beforeAll(async () => {
  underTest = await startNodeServer();
  url = `${underTest.url}/openapi.json`;
});
afterAll(() => underTest.connections.close());

test("the description of the API is public and names every endpoint of a caller", async () => {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("cache-control")).toBe("public, max-age=300");
  expect(response.headers.get("x-request-id")).not.toBeNull();
  const document: unknown = await response.json();
  expect(document).toMatchObject({ openapi: "3.1.1", paths: { "/v1/environments": { get: {} } } });
});

test("who has it already gets 304; HEAD has its head without a body", async () => {
  const head = await fetch(url, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  const entityTag = head.headers.get("etag") ?? "";
  const again = await fetch(url, { headers: { "if-none-match": `W/${entityTag}` } });
  expect([again.status, again.headers.get("etag"), await again.text()]).toEqual([304, entityTag, ""]);
});

test("other methods are refused", async () => {
  const response = await fetch(url, { method: "POST" });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
});

test("another spelling of the path is another path", async () => {
  expect((await fetch(`${url}/`)).status).toBe(404);
});
