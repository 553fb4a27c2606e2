import { expect, test } from "vitest";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";

/** Changes of devices, which are forwarded to the upstream, or not offered at all. */
export function describeManagement({ name }: Pick<RuntimeLauncher, "name">, gateway: GatewayUnderTest): void {
  const isOffered = name !== "workerd";
  const path = "/v1/environments/device-1";
  const changes = () => gateway.upstream.seen.filter(({ method }) => method === "PATCH" || method === "DELETE");

  test("labels reach the upstream unchanged; where labels are not offered, the response is 404 with the reason", async () => {
    const key = await gateway.keyFor("list", "read", "admin");
    const before = changes().length;
    const body = { tags: ["ci"] };
    const answer = await gateway.ask(path, { method: "PATCH", key, body });
    const sent = changes().slice(before);
    if (isOffered) {
      expect([answer.status, answer.json["deviceId"], sent.map(({ target }) => target)]).toEqual([
        200,
        "device-1",
        [path],
      ]);
      expect(JSON.parse(sent[0]?.body ?? "")).toEqual(body);
    } else {
      expect([answer.status, answer.json["errorCode"], sent]).toEqual([404, "endpoint_not_found", []]);
      expect(answer.json["detail"]).toContain("Cloudflare Workers");
    }
  });

  test("a change whose If-Match names a version is not made", async () => {
    const before = changes().length;
    const key = await gateway.keyFor("list", "read", "admin");
    const headers = { "if-match": '"version"' };
    const refusal = isOffered ? [412, "precondition_failed"] : [404, "endpoint_not_found"];
    for (const request of [{ method: "DELETE" }, { method: "PATCH", body: { tags: ["ci"] } }]) {
      const answer = await gateway.ask(path, { ...request, key, headers });
      expect([answer.status, answer.json["errorCode"]]).toEqual(refusal);
    }
    expect(changes()).toHaveLength(before);
  });

  test("a device that the key cannot access is not removed, and a caller without the scope removes nothing", async () => {
    const before = changes().length;
    const { key } = await gateway.createKey({ scopes: ["admin"], deviceIds: ["another"] });
    const hidden = await gateway.ask(path, { method: "DELETE", key });
    expect([hidden.status, hidden.json["errorCode"]]).toEqual([
      404,
      isOffered ? "environment_not_found" : "endpoint_not_found",
    ]);
    const reader = await gateway.ask(path, { method: "DELETE", key: await gateway.keyFor("list", "read") });
    expect(reader.json["errorCode"]).toBe(isOffered ? "insufficient_scope" : "endpoint_not_found");
    expect(changes()).toHaveLength(before);
  });
}
