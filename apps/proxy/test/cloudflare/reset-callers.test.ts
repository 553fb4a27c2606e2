/** Callers that reset their connection to a Worker. The platform ends such a request, and each promise that it has not settled by then. */
import type { ServerResponse } from "node:http";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createFakeUpstream } from "@letta-environments/testkit";
import { expect, onTestFinished, test, vi } from "vitest";
import { gatewayService, moduleOf, startBareWorkerd } from "../runtimes/bare-workerd.ts";
import { ask } from "../runtimes/use-gateway.ts";
import { openSocket, requestHead } from "../support/raw-http.ts";
import { createTestIssuer, testJwtSettings } from "../support/test-issuer.ts";

vi.setConfig({ testTimeout: 60_000 });

/** The Worker, which also logs that a caller has left. */
const reportingWorker = `import worker from "./cloudflare.js";
export * from "./cloudflare.js";
export default {
  fetch(request, ...rest) {
    request.signal.addEventListener("abort", () => console.log("caller gone"));
    return worker.fetch(request, ...rest);
  },
};`;

/** Starts the gateway. `onKeySet` receives each read of its issuer's keys. */
async function startGateway(onKeySet: (response: ServerResponse) => void) {
  const upstream = await createFakeUpstream((request, response) => {
    response.setHeader("content-type", "application/json");
    if (request.target === "/jwks") onKeySet(response);
    else response.end(JSON.stringify({ connections: [], hasNextPage: false }));
  });
  onTestFinished(() => upstream.close());
  const { issuer, audience, algorithms } = testJwtSettings;
  const jwt = { issuer, audience, algorithms, jwksUrl: `${upstream.url}/jwks`, tenant: "default" };
  const gateway = gatewayService("gateway", {
    config: { auth: { jwt }, cache: { enabled: false }, rateLimits: { enabled: false } },
    upstreamUrl: upstream.url,
    main: moduleOf("reporting.js", reportingWorker),
    services: { assets: "network", cache: "network", outgoing: "network" },
  });
  const network = `(name = "network", network = (allow = ["private"]))`;
  const workerd = await startBareWorkerd([gateway, network], ["gateway"], { stdout: "pipe" });
  onTestFinished(() => workerd.stop());
  return { url: workerd.url("gateway"), log: workerd.process.stdout };
}

/** Resolves with the first line of a log that contains a text. */
async function lineWith(log: Readable | null, text: string): Promise<string> {
  if (log === null) throw new Error("the process has no log");
  for await (const line of createInterface({ input: log })) if (line.includes(text)) return line;
  throw new Error(`the log ended without ${text}`);
}

test("a caller that resets its connection while the key set is read breaks no other token", async () => {
  const issuer = await createTestIssuer();
  const keySet = await issuer.fetchJwks("", new AbortController().signal);
  const { promise: reading, resolve: onKeySet } = Promise.withResolvers<ServerResponse>();
  const { url, log } = await startGateway(onKeySet);
  const isGone = lineWith(log, "caller gone");

  const socket = await openSocket(url);
  socket.write(requestHead("GET", "/v1/environments", { authorization: "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA" }));
  const response = await reading;
  const waiting = ask(url, "/v1/environments", { key: await issuer.sign(Date.now()) });
  await ask(url, "/livez");
  socket.resetAndDestroy();
  await isGone;
  response.end(keySet);

  const later = await ask(url, "/v1/environments", { key: await issuer.sign(Date.now()) });
  expect([(await waiting).status, later.status]).toEqual([200, 200]);
});
