/** Rate limits that `explain` cannot know. */
import { expect, test } from "vitest";
import { createExplainWorld } from "./support/explain-world.ts";
import { fakeRequest } from "./support/fake-request.ts";

test("explain leaves limits per address open, because it does not know the address of the caller", async () => {
  const policy = { limit: 2, windowMs: 60_000, routes: ["listEnvironments" as const] };
  const { issue, ask, proxy } = await createExplainWorld({
    byKey: { ...policy, per: ["key"], limit: 9 },
    byAddress: { ...policy, per: ["address"] },
    byBoth: { ...policy, per: ["key", "address"], mode: "shadow" },
  });
  const { key, record } = await issue({ scopes: ["list"], tenant: "one" });
  for (const status of [200, 200, 429]) expect((await proxy.handle(fakeRequest({ key }))).status).toBe(status);
  const { body } = await ask("one", { keyId: record.id, method: "GET", path: "/v1/environments" });
  expect(body.verdict).toBeNull();
  expect(body.limits.map((limit) => limit.policy)).toEqual(["byKey"]);
  const detail = "limits by address are not known: byAddress";
  expect(body.rules).toContainEqual({ rule: "apply the rate limits", result: "unknown", detail, errorCode: null });
  const refused = await ask("one", { keyId: record.id, method: "GET", path: "/v1/environments?limit=0" });
  expect(refused.body.verdict).toEqual({ status: 400, errorCode: "invalid_request" });
});

test("a limit by address that callers without an address have used up is left open", async () => {
  const policy = { limit: 2, windowMs: 60_000, routes: ["listEnvironments" as const] };
  const { issue, ask, proxy } = await createExplainWorld({ byAddress: { ...policy, per: ["address"] } });
  const { key, record } = await issue({ scopes: ["list"], tenant: "one" });
  const request = { ...fakeRequest({ key }), clientAddress: null };
  for (const status of [200, 200, 429]) expect((await proxy.handle(request)).status).toBe(status);
  const { body } = await ask("one", { keyId: record.id, method: "GET", path: "/v1/environments" });
  expect([body.verdict, body.limits]).toEqual([null, []]);
  const detail = "limits by address are not known: byAddress";
  expect(body.rules).toContainEqual({ rule: "apply the rate limits", result: "unknown", detail, errorCode: null });
});
