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
let listed: unknown = { connections: [row, { ...row, id: "env-2" }], hasNextPage: false };
const service = createService({
  listEnvironments: () => Promise.resolve(listed),
  deliver: (connectionId, body) => Promise.resolve(sent.push([connectionId, body]) > 0),
});
const message = { role: "user", content: "hi", client_message_id: "m-1" };

describe("the service on h3 answers as the API does", () => {
  test("a page of environments", async () => {
    const response = await service.request("/v1/environments?limit=1");
    const body: unknown = await response.json();
    expect([response.status, findEnvironmentListMismatch(body)]).toEqual([200, null]);
    expect(body).toEqual({ connections: [row], hasNextPage: true });
  });

  test("a broken query and a broken body are problems that name the member", async () => {
    const query = await service.request("/v1/environments?limit=0");
    expect([query.status, await query.json()]).toMatchObject([400, { errors: [{ member: "limit" }] }]);
    const body = await service.request("/v1/environments/conn-1/messages", {
      method: "POST",
      body: JSON.stringify({ messages: [{ ...message, role: "system" }] }),
      headers: { "content-type": "application/json" },
    });
    expect([body.status, await body.json()]).toMatchObject([400, { errors: [{ member: "messages[0].role" }] }]);
  });

  test("a message reaches the connection", async () => {
    const response = await service.request("/v1/environments/conn-1/messages", {
      method: "POST",
      body: JSON.stringify({ messages: [message] }),
      headers: { "content-type": "application/json" },
    });
    expect(await response.json()).toEqual({ message: "Delivered", success: true });
    expect(sent).toEqual([["conn-1", { messages: [message] }]]);
  });

  test("a list of another shape is not passed on", async () => {
    listed = { connections: [[]], hasNextPage: false };
    expect((await service.request("/v1/environments")).status).toBe(502);
  });
});
