import type { SendMessageBody } from "@letta-environments/schema";
import { findEnvironmentListMismatch } from "@letta-environments/schema/guards";
import { describe, expect, test } from "vitest";
import { createService } from "./create-service.ts";

const row = {
  id: "env-1",
  connectedAt: null,
  connectionId: null,
  connectionName: "build-box",
  deviceId: "device-1",
  firstSeenAt: 1,
  lastHeartbeat: null,
  lastSeenAt: 1,
  organizationId: "org-1",
  podId: null,
};
const sent: [string, SendMessageBody][] = [];
const labelled: unknown[] = [];
let listed: unknown = { connections: [row, { ...row, id: "env-2" }], hasNextPage: false };
const service = createService({
  listEnvironments: () => Promise.resolve(listed),
  deliver: (connectionId, body) => Promise.resolve(sent.push([connectionId, body]) > 0),
  label: (labels) => Promise.resolve(void labelled.push(labels)),
});
const message = { role: "user", content: "hi", client_message_id: "m-1" };

describe("the Environments API on h3", () => {
  test("the h3 service returns a page of environments", async () => {
    const response = await service.request("/v1/environments?limit=1");
    const body: unknown = await response.json();
    expect([response.status, findEnvironmentListMismatch(body)]).toEqual([200, null]);
    expect(body).toEqual({ connections: [row], hasNextPage: true });
  });

  test("the h3 service refuses a wrong query and a wrong body with a problem that names the member", async () => {
    const query = await service.request("/v1/environments?limit=0");
    expect([query.status, await query.json()]).toMatchObject([400, { errors: [{ member: "limit" }] }]);
    const body = await service.request("/v1/environments/conn-1/messages", {
      method: "POST",
      body: JSON.stringify({ messages: [{ ...message, role: "system" }] }),
      headers: { "content-type": "application/json" },
    });
    expect([body.status, await body.json()]).toMatchObject([400, { errors: [{ member: "messages[0].role" }] }]);
  });

  test("the h3 service delivers a message to the connection", async () => {
    const response = await service.request("/v1/environments/conn-1/messages", {
      method: "POST",
      body: JSON.stringify({ messages: [message] }),
      headers: { "content-type": "application/json" },
    });
    expect(await response.json()).toEqual({ message: "Delivered", success: true });
    expect(sent).toEqual([["conn-1", { messages: [message] }]]);
  });

  test("the h3 service responds with 502 if the backend's list has an unexpected shape", async () => {
    listed = { connections: [[]], hasNextPage: false };
    expect((await service.request("/v1/environments")).status).toBe(502);
  });
});

describe("the service's own endpoint, with a schema made from one of the API", () => {
  const label = (body: unknown): Response | Promise<Response> =>
    service.request("/labels", {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });

  test("the service's own endpoint accepts a valid body", async () => {
    const body = { deviceId: "device-1", labels: ["gpu"] };
    expect((await label(body)).status).toBe(204);
    expect(labelled).toEqual([body]);
  });

  test("the service's own endpoint applies the rules of the API and its own", async () => {
    const response = await label({ deviceId: "..", labels: [""] });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { errors: [{ member: "deviceId" }, { member: "labels[0]", rule: "must not be empty" }] },
    ]);
  });
});
