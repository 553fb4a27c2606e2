import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { anyone, createHarness } from "./support/harness.ts";

const path = "/v1/environments/register";
const body = { deviceId: "device-1", connectionName: "box", metadata: { os: "linux", processInstanceId: "proc-1" } };

test("registration returns a connectionId and the URL of its socket, and does not request split sockets", async () => {
  const { call } = createHarness();
  const answer = await call("POST", path, { body });
  const connectionId = String(answer.body["connectionId"]);
  expect(connectionId).toMatch(/^env-conn-/);
  expect(answer).toMatchObject({ status: 200, headers: { "cache-control": "private, no-store" } });
  expect(answer.body).toEqual({ connectionId, wsUrl: `ws://127.0.0.1:8787/v1/environments/${connectionId}/socket` });
});

test("each registration has its own connectionId", async () => {
  const { register } = createHarness();
  expect(await register("device-1")).not.toBe(await register("device-1"));
});

test("the socket URL is built from the public URL and its path, regardless of the request's origin", async () => {
  const { call } = createHarness({ publicUrl: "https://gateway.example/base/" });
  const answer = await call("POST", path, { body, authority: "http://evil.example" });
  expect(answer.body["wsUrl"]).toMatch(/^wss:\/\/gateway\.example\/base\/v1\/environments\/env-conn-\d+\/socket$/);
});

test("without a public URL only host and port of the request's origin are used", async () => {
  const { call } = createHarness();
  const authority = "https://user:password@gateway.example:8443/path?query";
  const answer = await call("POST", path, { body, authority });
  expect(answer.body["wsUrl"]).toMatch(/^wss:\/\/gateway\.example:8443\/v1\/environments\/env-conn-\d+\/socket$/);
});

test("without a public URL and an origin, registration is 400 and enrols nothing", async () => {
  const { call } = createHarness();
  for (const authority of [null, "no url", "file:///etc"]) {
    expect(await call("POST", path, { body, authority })).toMatchObject({
      status: 400,
      body: { errorCode: "invalid_request", errors: [{ member: "host" }] },
    });
  }
  expect((await call("GET", "/v1/environments")).body).toEqual({ connections: [], hasNextPage: false });
});

test("the metadata of a registration is stored, including unknown members", async () => {
  const { call } = createHarness();
  await call("POST", path, { body });
  const row = await call("GET", "/v1/environments/device-1");
  expect(row.body).toMatchObject({ connectionName: "box", userId: "ada", apiKeyOwner: "ada", organizationId: "acme" });
  expect(row.body["metadata"]).toEqual({ os: "linux", processInstanceId: "proc-1" });
});

test("the metadata of a registration is stored as well-formed Unicode, in strings and names of every depth", async () => {
  const { call } = createHarness();
  const metadata: unknown = JSON.parse(
    String.raw`{"gitBranch":"a\ud800b","x\udc00":{"deep":["\udfff","\ud83d\ude00",1,null,true],"__proto__":{"y":"\ud83d"}}}`,
  );
  expect((await call("POST", path, { body: { ...body, metadata } })).status).toBe(200);
  const row = await call("GET", "/v1/environments/device-1");
  expect(JSON.stringify(row.body["metadata"])).toBe(
    '{"gitBranch":"a\ufffdb","x\ufffd":{"deep":["\ufffd","\u{1f600}",1,null,true],"__proto__":{"y":"\ufffd"}}}',
  );
});

test("a device belongs to the key that enrolled it first; another key is 403 and changes nothing", async () => {
  const { call, register } = createHarness();
  await register("device-1");
  const other: Principal = { ...anyone, keyId: "key-2", owner: "bob" };
  for (const listenerInstanceId of ["default", "another"]) {
    const answer = await call("POST", path, { body: { ...body, listenerInstanceId }, principal: other });
    expect(answer).toMatchObject({ status: 403, headers: { "x-should-retry": "false" } });
    expect(answer.body["errorCode"]).toBe("device_owned_by_another_key");
  }
  expect((await call("GET", "/v1/environments")).body["connections"]).toMatchObject([
    { connectionName: "name of device-1", userId: "ada" },
  ]);
});

test("a device that a shared key enrolled may be enrolled by any key of the tenant", async () => {
  const { register } = createHarness();
  await register("device-1", { principal: { ...anyone, shared: true } });
  await expect(register("device-1", { principal: { ...anyone, keyId: "key-2" } })).resolves.toMatch(/^env-conn-/);
});

test("a key with a device allowlist may enrol only those devices", async () => {
  const { call, register } = createHarness();
  const principal: Principal = { ...anyone, deviceIds: ["device-2"] };
  const answer = await call("POST", path, { body, principal });
  expect(answer).toMatchObject({ status: 403, body: { errorCode: "device_not_allowed" } });
  await expect(register("device-2", { principal })).resolves.toMatch(/^env-conn-/);
});

test("a registration that breaks a rule is 400 naming the member", async () => {
  const { call } = createHarness();
  const broken: [Record<string, unknown>, string][] = [
    [{ ...body, deviceId: "../x" }, "deviceId"],
    [{ ...body, deviceId: undefined }, "deviceId"],
    [{ ...body, connectionName: "" }, "connectionName"],
    [{ ...body, listenerInstanceId: "a b" }, "listenerInstanceId"],
    [{ ...body, metadata: { os: 1 } }, "metadata.os"],
    [{ ...body, metadata: { note: "x".repeat(70_000) } }, "metadata"],
  ];
  for (const [broke, member] of broken) {
    const answer = await call("POST", path, { body: broke });
    expect(answer).toMatchObject({ status: 400, body: { errorCode: "invalid_request", errors: [{ member }] } });
  }
});
