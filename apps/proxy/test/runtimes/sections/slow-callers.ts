import { once } from "node:events";
import { expect, test } from "vitest";
import { openSocket, parseResponse, readToEnd, requestHead } from "../../support/raw-http.ts";
import { answerTo, expectedAnswer } from "../exchange.ts";
import { endlessRequests } from "../hostile-requests.ts";
import type { LaunchedGateway, RuntimeLauncher } from "../launcher.ts";
import { ask, type GatewayUnderTest } from "../use-gateway.ts";

/** In milliseconds: 15 s for headers, checked every 5 s, and time for a busy machine. */
const patienceMs = 40_000;

/** Sends requests whose head does not end, and waits until the gateway has had enough of each. */
export async function sendIncompleteHeads({ url }: LaunchedGateway) {
  const seen = await Promise.all(endlessRequests.map(({ bytes }) => answerTo(url, bytes(""), patienceMs)));
  return { seen, afterwards: await ask(url, "/livez") };
}

/** Clients that never complete their request: they hold a connection for a limited time only. */
export function describeSlowCallers(
  launcher: RuntimeLauncher,
  sent: () => ReturnType<typeof sendIncompleteHeads>,
): void {
  test("a client that sends an incomplete request head gets 408, and the connection is closed", async () => {
    const { seen, afterwards } = await sent();
    for (const [index, request] of endlessRequests.entries()) {
      const expected = expectedAnswer(launcher, request);
      expect([request.name, expected.status]).toEqual([request.name, [seen[index]?.status]]);
      expect(seen[index]?.isProblem).toBe(expected.isProblem);
    }
    expect(afterwards.status).toBe(200);
  });
}

/** Clients that close their side of the connection when they have sent the request. */
export function describeHalfClosedCallers(gateway: GatewayUnderTest): void {
  test("a client that half-closes its connection after the request receives the response", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const socket = await openSocket(gateway.url);
    socket.end(requestHead("GET", "/v1/environments?limit=7", { authorization: `Bearer ${key}` }));
    expect(parseResponse(await readToEnd(socket)).status).toBe(200);
  });
}

/** Requests that have their response before their body is read. */
export function describeRefusedBodies(gateway: GatewayUnderTest): void {
  const unread = (method: string, target: string, length: number): string =>
    requestHead(method, target, { connection: "keep-alive", "content-length": String(length) });

  test.each([
    ["POST", "/v1/environments/conn-1/messages", 401],
    ["POST", "/livez", 405],
    ["GET", "/v1/environments", 401],
    ["HEAD", "/v1/environments", 401],
    ["DELETE", "/v1/environments/device-1", 401],
    ["GET", "/livez", 200],
    ["GET", "/readyz", 200],
  ])(
    "%s %s whose unread body arrived leaves its connection to the next request; one whose body does not arrive is closed",
    async (method, target, status) => {
      const complete = await openSocket(gateway.url);
      complete.write(`${unread(method, target, 2)}{}`);
      const [answer] = (await once(complete, "data")) as [Buffer];
      const { status: first, headers } = parseResponse(answer.toString("latin1"));
      expect([first, headers["connection"]]).toEqual([status, "keep-alive"]);
      // Its response comes later, so it is over when the gateway has decided on both connections.
      const incomplete = await openSocket(gateway.url);
      incomplete.write(`${unread(method, target, 3)}{}`);
      expect(parseResponse(await readToEnd(incomplete)).status).toBe(status);
      expect(complete.closed).toBe(false);
      complete.write(requestHead("GET", "/livez"));
      expect(parseResponse(await readToEnd(complete)).status).toBe(200);
    },
  );
}
