import { once } from "node:events";
import { afterAll, expect, test } from "vitest";
import { openSocket, parseResponse } from "../../support/raw-http.ts";
import { type HostileAnswer, type HostileRequest, hostileRequests } from "../hostile-requests.ts";
import { knownDifferences } from "../known-differences.ts";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** Longest time in which an answer to a hostile request begins, in milliseconds. */
const patienceMs = 5_000;

/** Hostile requests over bare sockets: each has the decision of `hostile-requests.ts`, or a listed difference with its reason. */
export function describeHostileRequests(launcher: RuntimeLauncher, gateway: GatewayUnderTest): void {
  test.each(hostileRequests.map((request) => [request.name, request] as const))("%s", async (_name, request) => {
    const key = await gateway.keyFor("list", "read", "send");
    const seen = await answerTo(gateway.url, request.bytes(key));
    const expected = expectedAnswer(launcher, request);
    expect(expected.status).toContain(seen.status);
    if (seen.status === "closed") return;
    expect(seen.isProblem).toBe(expected.isProblem);
  });

  afterAll(() => {
    // Whatever was asked: only what the gateway itself builds has reached the upstream.
    const targets = new Set(gateway.upstream.seen.map(({ method, target }) => `${method} ${target.split("?")[0]}`));
    const built = [
      "GET /v1/environments",
      "GET /v1/environments/device-1",
      "GET /v1/environments/another",
      "POST /v1/environments/conn-1/messages",
    ];
    expect([...targets].filter((target) => !built.includes(target))).toEqual([]);
  });
}

function expectedAnswer({ name }: RuntimeLauncher, request: HostileRequest): HostileAnswer {
  const difference = knownDifferences.find((known) => known.request === request.name && known.runtimes.includes(name));
  return difference?.answer ?? request.answer;
}

/** Sends bytes and reads the answer until the connection ends, or until it is whole on a connection that stays open. */
async function answerTo(
  url: string,
  bytes: string,
): Promise<{ readonly status: number | "closed"; readonly isProblem: boolean }> {
  const socket = await openSocket(url);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
  socket.on("error", () => undefined);
  socket.write(bytes, "latin1");
  const silent = setTimeout(() => socket.destroy(new Error("no answer")), patienceMs);
  await once(socket, "close");
  clearTimeout(silent);
  if (text === "") return { status: "closed", isProblem: false };
  const { status, headers } = parseResponse(text);
  return { status, isProblem: headers["content-type"] === "application/problem+json" && "x-request-id" in headers };
}
