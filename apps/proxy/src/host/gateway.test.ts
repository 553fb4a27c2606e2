import { Hono } from "hono";
import { basePath } from "hono/route";
import { expect, test } from "vitest";
import { silentReporting } from "../../test/support/host-reporting.ts";
import { createTestProxy } from "../../test/support/test-proxy.ts";
import { loadOpenApi } from "../adapters/open-api.ts";
import { createGatewayApp, type HostRoute } from "./gateway.ts";
import { createHostRoutes } from "./routes.ts";
import { passedRequest } from "./web-request.ts";

async function setUp(more: readonly HostRoute[] = []) {
  const { proxy, issueKey } = createTestProxy();
  const routes = [...createHostRoutes({ ...silentReporting, isDraining: () => false, openApi: loadOpenApi }), ...more];
  const { key } = await issueKey();
  const gateway = createGatewayApp(proxy, {
    routes,
    toGatewayRequest: (context) => passedRequest(context.req.raw, null, basePath(context)),
  });
  return { gateway, headers: { authorization: `Bearer ${key}` } };
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

test.each(["acme", "ac%20me", "%C3%BC", "%c3%bc", "a%2Fb%20c", "100%25%20me", "a@b"])(
  "a gateway mounted below a parameter serves its routes if that is %s",
  async (team) => {
    const { gateway, headers } = await setUp();
    const app = new Hono().route("/:team/letta", gateway);
    const response = await app.request(`http://app.example/${team}/letta/v1/environments`, { headers });
    expect(response.status).toBe(200);
  },
);

test.each([
  "/lettav1/environments",
  "/letta//v1/environments",
  "/letta/%76%31/environments",
  "/%6cetta/v1/environments",
  "/letta%2fv1/environments",
  "/letta/letta/v1/environments",
  "/v1/environments",
])("a gateway mounted at /letta serves nothing at %s", async (path) => {
  const { gateway, headers } = await setUp();
  const app = new Hono().route("/letta", gateway);
  const response = await app.fetch(new Request(`http://app.example${path}`, { headers }));
  expect(response.status).toBe(404);
});

test.each([
  ["/letta/v1/environments", "/letta", "/v1/environments"],
  ["/lettav1/environments", "/letta", "/lettav1/environments"],
  ["/%6cetta/v1/environments", "/letta", "/%6cetta/v1/environments"],
  ["/letta/v1/environments", "/", "/letta/v1/environments"],
  ["/ac%20me/v1/a%20b", "/ac me", "/v1/a%20b"],
  ["/ac%20mev1/environments", "/ac me", "/ac%20mev1/environments"],
  ["/%E0%A4%A/v1/environments", "/ac me", "/%E0%A4%A/v1/environments"],
])("the path of %s below %s is %s", (path, basePath, expected) => {
  expect(passedRequest(new Request(`http://app.example${path}`), null, basePath).path).toBe(expected);
});

test("a streamed body is sent chunk by chunk and cancelled with the response", async () => {
  let isCancelled = false;
  const streamed: HostRoute = {
    path: "/streamed",
    authentication: "none",
    respond: () => ({
      status: 200,
      headers: {},
      body: null,
      stream: new ReadableStream({
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
