import { createFakeUpstream } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { createApp } from "../src/mounted-gateway.ts";

test("the gateway keeps its rules below the path of the other app, and the app keeps its own routes", async () => {
  const upstream = await createFakeUpstream((_request, response) => {
    response.setHeader("content-type", "application/json").end('{"connections":[],"hasNextPage":false}');
  });
  onTestFinished(() => upstream.close());
  const app = createApp(upstream.url);
  expect(await (await app.request("/hello")).text()).toBe("hello");
  expect((await app.request("/letta/livez")).status).toBe(200);
  expect((await app.request("/letta/v1/environments")).status).toBe(401);
  const headers = { authorization: "Bearer sk-of-the-caller" };
  const response = await app.request("/letta/v1/environments?limit=5", { headers });
  expect([response.status, await response.json()]).toEqual([200, { connections: [], hasNextPage: false }]);
  expect(upstream.seen).toMatchObject([
    { target: "/v1/environments?limit=5", headers: { authorization: "Bearer sk-of-the-caller" } },
  ]);
});

test("an upstream to which keys must not be sent is refused at startup", () => {
  expect(() => createApp("http://upstream.example")).toThrow(/^UPSTREAM_URL /);
});
