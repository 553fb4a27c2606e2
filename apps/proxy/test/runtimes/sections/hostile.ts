import { afterAll, expect, test } from "vitest";
import { answerTo, expectedAnswer } from "../exchange.ts";
import { hostileRequests } from "../hostile-requests.ts";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** Longest time in which an answer to a hostile request is there, in milliseconds. */
const patienceMs = 5_000;

/** Hostile requests over bare sockets: each has the decision of `hostile-requests.ts`, or a listed difference with its reason. */
export function describeHostileRequests(launcher: RuntimeLauncher, gateway: GatewayUnderTest): void {
  test.each(hostileRequests.map((request) => [request.name, request] as const))("%s", async (_name, request) => {
    const key = await gateway.keyFor("list", "read", "send");
    const seen = await answerTo(gateway.url, request.bytes(key), patienceMs);
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
