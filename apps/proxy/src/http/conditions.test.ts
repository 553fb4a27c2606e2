import { endpoints, jsonResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { environmentRow } from "../../test/support/environment-row.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createDeviceAdministrationProxy } from "../../test/support/device-administration.ts";
import { createTestProxy, problemOf } from "../../test/support/test-proxy.ts";

const list = jsonResponse(200, { connections: [environmentRow("1")], hasNextPage: false });

test.each(["GET", "HEAD"])(
  "a %s whose If-Match has no matching tag is 412, and a weak tag never matches",
  async (method) => {
    const { proxy, issueKey } = createTestProxy(() => Promise.resolve(list));
    const { key } = await issueKey({ scopes: ["list"] });
    const { path } = endpoints.listEnvironments;
    const statusWith = async (ifMatch: string): Promise<number> =>
      (await proxy.handle(fakeRequest({ key, method, path, headers: { "if-match": ifMatch } }))).status;
    expect(await Promise.all(["*", '"strong"', 'W/"weak"'].map(statusWith))).toEqual([200, 412, 412]);
  },
);

test.each(["PATCH", "DELETE"])("a %s with If-None-Match: * does nothing to a device that exists", async (method) => {
  const world = await createDeviceAdministrationProxy();
  const { key } = await world.issueKey({ scopes: ["admin", "read"] });
  await world.connect((await world.issueKey({ scopes: ["connect"] })).key, { deviceId: "d1", connectionName: "ci-1" });
  const body = method === "PATCH" ? '{"tags":["a"]}' : null;
  const request = { key, method, path: "/v1/environments/d1", body };
  const response = await world.proxy.handle(fakeRequest({ ...request, headers: { "if-none-match": " * " } }));
  expect([response.status, problemOf(response).errorCode]).toEqual([412, "precondition_failed"]);
  const read = await world.proxy.handle(fakeRequest({ key, path: "/v1/environments/d1" }));
  expect([read.status, String(read.body).includes('"a"')]).toEqual([200, false]);
  const other = await world.proxy.handle(fakeRequest({ ...request, headers: { "if-none-match": '"x"' } }));
  expect(other.status).toBeLessThan(300);
});
