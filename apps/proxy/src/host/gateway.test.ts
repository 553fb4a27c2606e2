import { randomId } from "@letta-environments/platform/node";
import { Hono } from "hono";
import { expect, test } from "vitest";
import { createTestProxy } from "../../test/support/test-proxy.ts";
import { loadOpenApi } from "../adapters/open-api.ts";
import { createGateway } from "./gateway.ts";
import { createHostRoutes, type HostRoute } from "./routes.ts";

async function setUp(more: readonly HostRoute[] = []) {
  const { proxy, issueKey } = createTestProxy();
  const routes = [...createHostRoutes({ randomId, isDraining: () => false, openApi: loadOpenApi }), ...more];
  const { key } = await issueKey();
  return { gateway: createGateway(proxy, { routes }), headers: { authorization: `Bearer ${key}` } };
}

const requests: readonly (readonly [path: string, status: number])[] = [
  ["/livez", 200],
  ["/readyz", 200],
  ["/openapi.json", 200],
  ["/v1/environments", 200],
  ["/v1/ratelimit", 200],
  ["/v1/unknown", 404],
  ["/admin/v1/keys", 403],
];

test.each(requests)("app.fetch serves %s with %i", async (path, status) => {
  const { gateway, headers } = await setUp();
  const response = await gateway.fetch(new Request(`http://gateway.example${path}`, { headers }));
  expect(response.status).toBe(status);
  expect(response.headers.get("x-request-id")).not.toBeNull();
});

test.each(["/", "/letta", "/teams/a"])(
  "a gateway mounted at %s in another app serves every route there",
  async (base) => {
    const { gateway, headers } = await setUp();
    const app = new Hono().route(base, gateway).get("/own", (context) => context.text("own"));
    const prefix = base === "/" ? "" : base;
    for (const [path, status] of requests) {
      const response = await app.request(`http://app.example${prefix}${path}`, { headers });
      expect([path, response.status]).toEqual([path, status]);
    }
    expect(await (await app.request("http://app.example/own")).text()).toBe("own");
    expect((await app.request("http://app.example/elsewhere")).headers.get("x-request-id")).toBeNull();
  },
);

test("a streamed body is sent chunk by chunk and cancelled with the response", async () => {
  let isCancelled = false;
  const streamed: HostRoute = {
    path: "/streamed",
    authentication: "none",
    respond: () => ({
      status: 200,
      headers: {},
      body: new ReadableStream({
        pull: (controller) => controller.enqueue(new TextEncoder().encode("chunk ")),
        cancel: () => void (isCancelled = true),
      }),
    }),
  };
  const { gateway } = await setUp([streamed]);
  const reader = (await gateway.request("http://gateway.example/streamed")).body?.getReader();
  expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("chunk ");
  expect(isCancelled).toBe(false);
  await reader?.cancel();
  expect(isCancelled).toBe(true);
});
