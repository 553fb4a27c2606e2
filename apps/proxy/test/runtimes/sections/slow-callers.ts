import { once } from "node:events";
import { expect, test } from "vitest";
import { openSocket, parseResponse, readToEnd, requestHead } from "../../support/raw-http.ts";
import { answerTo, expectedAnswer } from "../exchange.ts";
import { endlessRequests } from "../hostile-requests.ts";
import type { LaunchedGateway, RuntimeLauncher } from "../launcher.ts";
import { ask, type GatewayUnderTest, heldDevice } from "../use-gateway.ts";
import { message } from "./sending.ts";

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

/** Clients that close their side of the connection when they have sent the request. Bun does not distinguish them from those that have gone. */
export function describeHalfClosedCallers({ name }: Pick<RuntimeLauncher, "name">, gateway: GatewayUnderTest): void {
  async function readHalfClosed(path: string, requestId: string): Promise<string> {
    const authorization = `Bearer ${await gateway.keyFor("list", "read", "send")}`;
    const socket = await openSocket(gateway.url);
    socket.end(requestHead("GET", path, { authorization, "x-request-id": requestId }));
    return readToEnd(socket);
  }

  test("a client that half-closes its connection after the request receives the response, except on Bun", async () => {
    const received = await readHalfClosed("/v1/environments?limit=7", "half-1");
    if (name === "bun") expect(received).toBe("");
    else expect(parseResponse(received).status).toBe(200);
  });

  test("a client that has closed its side of the connection counts as disconnected while its response is not ready", async () => {
    expect(await readHalfClosed(`/v1/environments/${heldDevice}`, "half-2")).toBe("");
    const line = (): string | undefined =>
      gateway.gateway
        .log?.()
        .split("\n")
        .find((text) => text.includes('"half-2"'));
    await expect.poll(line, { timeout: 10_000 }).toMatch(/"status":499,.*"outcome":"gone"/);
    gateway.releaseHeld();
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
    "%s %s keeps its connection if its unread body has arrived, and closes it otherwise",
    async (method, target, status) => {
      const complete = await openSocket(gateway.url);
      complete.write(`${unread(method, target, 2)}{}`);
      const [answer] = (await once(complete, "data")) as [Buffer];
      const { status: first, headers } = parseResponse(answer.toString("latin1"));
      expect([first, headers["connection"]]).toEqual([status, "keep-alive"]);
      // Its response comes later, so it is over when the gateway has decided on both connections.
      const incomplete = await openSocket(gateway.url);
      incomplete.write(`${unread(method, target, 3)}{}`);
      const last = parseResponse(await readToEnd(incomplete));
      expect([last.status, last.headers["connection"]]).toEqual([status, "close"]);
      expect(complete.closed).toBe(false);
      complete.write(requestHead("GET", "/livez"));
      expect(parseResponse(await readToEnd(complete)).status).toBe(200);
    },
  );
  test("a client that sends all of a slow body before it reads receives the refusal", async () => {
    const part = "x".repeat(100_000);
    const socket = await openSocket(gateway.url);
    let isReset = false;
    socket.on("error", () => (isReset = true));
    socket.write(unread("POST", "/v1/environments/conn-1/messages", 20 * part.length));
    const received = once(socket, "data");
    // From now on the connection would be reset if the gateway had closed it.
    const [first] = (await received) as [Buffer];
    for (let sent = 0; sent < 20; sent++) {
      await new Promise<void>((resolve) => socket.write(part, () => void setImmediate(resolve)));
    }
    const { status, headers } = parseResponse(first.toString("latin1"));
    expect([status, headers["connection"], isReset]).toEqual([401, "close", false]);
    socket.destroy();
  });

  test.each([
    ["without a key", {}, 401],
    ["with a body that is too large", { "content-length": "9999999" }, 413],
  ])(
    "a request %s with Expect: 100-continue gets its refusal without 100 Continue, and a valid one gets 100 Continue",
    async (_what, fields, status) => {
      const body = JSON.stringify(message(`expects-${status}`));
      const authorization = `Bearer ${await gateway.keyFor("list", "read", "send")}`;
      const expecting = (more: Readonly<Record<string, string>>): string =>
        requestHead("POST", "/v1/environments/conn-1/messages", {
          ...{ expect: "100-continue", "content-type": "application/json", "content-length": String(body.length) },
          ...more,
        });
      const refused = await openSocket(gateway.url);
      refused.write(expecting({ ...(status !== 401 && { authorization }), ...fields }));
      expect(parseResponse(await readToEnd(refused))).toMatchObject({ status, headers: { connection: "close" } });
      const good = await openSocket(gateway.url);
      good.write(expecting({ authorization }));
      const [interim] = (await once(good, "data")) as [Buffer];
      expect(interim.toString("latin1")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
      good.write(body);
      expect(parseResponse(await readToEnd(good)).status).toBe(200);
    },
  );
}
