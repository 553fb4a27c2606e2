import { expect, test } from "vitest";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** Control of conversations, which is forwarded to the upstream, or not offered at all. */
export function describeControl({ name }: Pick<RuntimeLauncher, "name">, gateway: GatewayUnderTest): void {
  const isOffered = name !== "workerd";
  const path = "/v1/environments/conn-1";
  const body = { agentId: "agent-1", runId: "run-1" };

  test("a stop reaches the upstream unchanged; where stops are not offered, the response is 404 with the reason", async () => {
    const key = await gateway.keyFor("list", "read", "control");
    const before = gateway.upstream.seen.filter(({ method }) => method === "POST").length;
    const answer = await gateway.ask(`${path}/stop`, { key, body });
    const sent = gateway.upstream.seen.filter(({ method }) => method === "POST").slice(before);
    if (isOffered) {
      expect([answer.status, sent.map(({ target }) => target)]).toEqual([200, [`${path}/stop`]]);
      expect(JSON.parse(sent[0]?.body ?? "")).toEqual(body);
    } else {
      expect([answer.status, answer.json["errorCode"], sent]).toEqual([404, "endpoint_not_found", []]);
      expect(answer.json["detail"]).toContain("Cloudflare Workers");
    }
  });

  test("an operation that the upstream does not support is 404 endpoint_not_found", async () => {
    const key = await gateway.keyFor("list", "read", "control");
    const answer = await gateway.ask(`${path}/queue/q-1?agentId=agent-1`, { method: "DELETE", key });
    expect([answer.status, answer.json["errorCode"]]).toEqual([404, "endpoint_not_found"]);
  });

  test("nothing is forwarded for a key without the scope", async () => {
    const key = await gateway.keyFor("list", "read", "send");
    const before = gateway.upstream.seen.filter(({ method }) => method === "POST").length;
    const answer = await gateway.ask(`${path}/mode`, { key, body: { agentId: "agent-1", mode: "standard" } });
    expect(answer.json["errorCode"]).toBe(isOffered ? "insufficient_scope" : "endpoint_not_found");
    expect(gateway.upstream.seen.filter(({ method }) => method === "POST")).toHaveLength(before);
  });
}
