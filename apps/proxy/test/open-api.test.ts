import { afterAll, beforeAll, expect, test } from "vitest";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";

let underTest: NodeServerUnderTest;
let url: string;

beforeAll(async () => {
  underTest = await startNodeServer();
  url = `${underTest.url}/openapi.json`;
});
afterAll(() => underTest.connections.close());

test("the API description needs no key and contains every endpoint for clients", async () => {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("cache-control")).toBe("public, max-age=300");
  expect(response.headers.get("x-request-id")).not.toBeNull();
  const document: unknown = await response.json();
  expect(document).toMatchObject({ openapi: "3.1.1", paths: { "/v1/environments": { get: {} } } });
});

test("the API description names its own folder as the server, so that clients find a gateway mounted below a path", async () => {
  const { servers } = (await (await fetch(url)).json()) as { readonly servers: readonly { readonly url: string }[] };
  const at = (document: string): string[] => servers.map((server) => new URL(server.url, document).href);
  expect(at("https://app.example/letta/openapi.json")).toEqual(["https://app.example/letta/"]);
  expect(at("https://gateway.example/openapi.json")).toEqual(["https://gateway.example/"]);
});

test("a request for the API description with its entity tag is 304, and HEAD has no body", async () => {
  const head = await fetch(url, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  const entityTag = head.headers.get("etag") ?? "";
  const again = await fetch(url, { headers: { "if-none-match": `W/${entityTag}` } });
  expect([again.status, again.headers.get("etag"), await again.text()]).toEqual([304, entityTag, ""]);
});

test("the API description refuses methods other than GET and HEAD", async () => {
  const response = await fetch(url, { method: "POST" });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
});

test("the API description is not served under other spellings of its path", async () => {
  expect((await fetch(`${url}/`)).status).toBe(404);
});
