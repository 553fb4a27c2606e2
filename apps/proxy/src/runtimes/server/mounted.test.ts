import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openSocket, requestHead, sendRaw } from "../../../test/support/raw-http.ts";
import type { OverloadReport } from "../../host/node/overload-report.ts";
import { createMountedHost } from "./mounted.ts";

test("sockets over the limit of a gateway in another program are 503, and are reported as overload", async () => {
  const reported = Promise.withResolvers<OverloadReport>();
  const mounted = createMountedHost(
    { upgrade: () => new Promise(() => undefined), refuse: () => expect.unreachable() },
    { prefix: "", maxSockets: 1, onFailure: reported.reject, onOverload: reported.resolve },
  );
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  onTestFinished(() => mounted.close());
  await once(server, "listening");
  mounted.serveSockets(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const head = requestHead("GET", "/v1/environments/conn-1/ws", {
    ...{ connection: "upgrade", upgrade: "websocket" },
    ...{ "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" },
  });
  const upgraded = once(server, "upgrade");
  (await openSocket(url)).write(head);
  await upgraded;
  expect((await sendRaw(url, head)).status).toBe(503);
  expect(await reported.promise).toEqual({ refusedRequests: 1, closedConnections: 0, inFlight: 0 });
});
