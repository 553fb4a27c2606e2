import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { levelOf } from "../adapters/log-event.ts";
import { loadOpenApi } from "../adapters/open-api.ts";
import type { ReadConsoleFile } from "../ports.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { createConsoleRoutes } from "./console-routes.ts";
import { createDocsRoutes } from "./docs.ts";
import { createHostRoutes, type HostReporting } from "./routes.ts";
import type { ReadReadiness } from "./readiness.ts";

type RequestEvent = Extract<ProxyEvent, { type: "request" }>;

const page = { bytes: new Uint8Array(1), encoding: null, mediaType: "text/html", entityTag: '"a"', isImmutable: false };
const readFile: ReadConsoleFile = (name) => Promise.resolve(name === "index.html" ? page : null);

/** Sends one request to the route of a pattern. */
async function respond(pattern: string, request: Parameters<typeof fakeRequest>[0], readReadiness?: ReadReadiness) {
  const events: ProxyEvent[] = [];
  const reporting: HostReporting = {
    clock: createVirtualClock(),
    randomId: (prefix) => `${prefix}-1`,
    telemetry: (event) => void events.push(event),
    addressOf: ({ clientAddress }) => clientAddress,
  };
  const routes = createHostRoutes({
    ...reporting,
    isDraining: () => false,
    ...(readReadiness && { readReadiness }),
    openApi: loadOpenApi,
    others: createConsoleRoutes({ handle: () => ({ status: 204, headers: {}, body: null }), readFile }, reporting),
    pages: createDocsRoutes(() => Promise.resolve(null)),
    root: { page: "console/", handle: () => ({ status: 404, headers: { from: "pipeline" }, body: null }) },
  });
  const response = await routes.find(({ path }) => path === pattern)?.respond(fakeRequest(request));
  if (response === undefined) throw new Error("no such route");
  return { response, events };
}

/** Sends one request to the route of a pattern. Returns the response, and what was logged. */
async function ask(...given: Parameters<typeof respond>) {
  const { response, events } = await respond(...given);
  const lines = events.filter((event): event is RequestEvent => event.type === "request");
  const [line] = lines;
  if (line === undefined || lines.length !== 1) throw new Error("not one line");
  return { response, line, level: levelOf(line), events };
}

test.each([
  ["/livez", "/livez", "checkLiveness", 200, "debug"],
  ["/readyz", "/readyz", "checkReadiness", 200, "debug"],
  ["/openapi.json", "/openapi.json", "describeApi", 200, "debug"],
  ["/console/*", "/console/", "readConsole", 200, "debug"],
  ["/console", "/console", "readConsole", 308, "debug"],
  ["/console/*", "/console/none.js", "readConsole", 404, "info"],
  ["/docs", "/docs", "readDocs", 404, "info"],
])(
  "a request of the route %s for %s has one line, %s %i at level %s",
  async (pattern, path, operation, status, level) => {
    const given = await ask(pattern, { path, headers: { "x-request-id": "mine" } });
    expect(given.response.status).toBe(status);
    expect(given.line).toMatchObject({ requestId: "mine", method: "GET", operation, status });
    expect(given.level).toBe(level);
    expect(given.response.headers["x-request-id"]).toBe("mine");
  },
);

test("the line of a refused request of a route has its errorCode and the client's address", async () => {
  expect((await ask("/livez", { path: "/livez", method: "POST" })).line).toMatchObject({
    ...{ status: 405, errorCode: "method_not_allowed" },
  });
  expect((await ask("/console/*", { path: "/console/none.js" })).line).toMatchObject({
    ...{ status: 404, errorCode: "endpoint_not_found", clientAddress: "127.0.0.1" },
  });
});

test("probes of a gateway that is not ready do not fill the log, and a check that fails is reported and is 500", async () => {
  const notReady = await ask("/readyz", { path: "/readyz" }, () => Promise.resolve([{ name: "disk", isReady: false }]));
  expect([notReady.response.status, notReady.level]).toEqual([503, "debug"]);
  const failed = await ask("/readyz", { path: "/readyz" }, () => Promise.reject(new Error("defect")));
  expect([failed.response.status, failed.level, failed.line.errorCode]).toEqual([500, "warn", "internal_error"]);
  expect(failed.events.map(({ type }) => type)).toEqual(["internal_error", "request"]);
});

test("the response to HEAD has no body and its line has the status of GET", async () => {
  const { response, line } = await ask("/livez", { path: "/livez", method: "HEAD" });
  expect([response.status, response.body, line.method, line.status]).toEqual([200, null, "HEAD", 200]);
});

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

test.each([
  ["GET", browser],
  ["HEAD", browser],
  ["GET", "application/json;q=0.5, text/html"],
])(
  "a browser that opens / is redirected to the console or the documentation (%s, Accept: %s)",
  async (method, accept) => {
    const { response, line } = await ask("/", { path: "/", method, headers: { accept } });
    expect(response).toMatchObject({ status: 307, headers: { location: "console/", vary: "Accept" }, body: null });
    expect(response.headers["cache-control"]).toBe("private, no-store");
    expect(line).toMatchObject({ operation: "readConsole", status: 307 });
  },
);

test.each([
  ["POST", browser],
  ["GET", "*/*"],
  ["GET", "application/json, text/html"],
  ["GET", "application/problem+json, text/html;q=0.9"],
  ["GET", "text/html;q=0"],
  ["GET", "text/html;q=x"],
  ["GET", undefined],
])("any other request for / goes to the pipeline (%s, Accept: %s)", async (method, accept) => {
  const request = { path: "/", method, headers: accept === undefined ? {} : { accept } };
  expect((await respond("/", request)).response.headers["from"]).toBe("pipeline");
});
