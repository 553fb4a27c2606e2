import { afterAll, expect, test } from "vitest";
import { answerTo, expectedAnswer } from "../exchange.ts";
import { hostileRequests } from "../hostile-requests.ts";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** The longest wait for the response to a hostile request, in milliseconds: less than the gateway's own timeout, which would also close the connection. */
const patienceMs = 12_000;

/** Hostile requests over raw sockets: each gets the response of `hostile-requests.ts`, or that of a known difference. */
export function describeHostileRequests(launcher: RuntimeLauncher, gateway: GatewayUnderTest): void {
  test.each(hostileRequests.map((request) => [request.name, request] as const))("%s", async (_name, request) => {
    const key = await gateway.keyFor("list", "read", "send");
    const seen = await answerTo(gateway.url, request.bytes(key), patienceMs);
    const expected = expectedAnswer(launcher, request);
    expect(expected.status).toContain(seen.status);
    if (seen.status === "closed") return;
    expect(seen.isProblem).toBe(expected.isProblem);
    expect(seen.isFollowed).toBe(expected.isFollowed ?? false);
  });

  afterAll(() => {
    // Only requests that the gateway itself builds have reached the upstream.
    const targets = new Set(gateway.upstream.seen.map(({ method, target }) => `${method} ${target.split("?")[0]}`));
    const built = [
      "GET /v1/environments",
      "GET /v1/environments/device-1",
      "GET /v1/environments/another",
      "POST /v1/environments/conn-1/messages",
      "POST /v1/environments/conn-1/stop",
      "DELETE /v1/environments/conn-1/queue/q-1",
      "PATCH /v1/environments/device-1",
      ...[405, 407, 408, 421, 426].map((status) => `GET /v1/environments/status-${status}`),
    ];
    expect([...targets].filter((target) => !built.includes(target))).toEqual([]);
  });
}
