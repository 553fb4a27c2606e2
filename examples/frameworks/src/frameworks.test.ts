import type { SendMessageBody } from "@letta-environments/schema";
import { afterAll, describe, expect, expectTypeOf, test } from "vitest";
import { createFastifyService } from "./fastify-service.ts";
import { createDevicesCaller } from "./trpc-router.ts";

const sent: [string, SendMessageBody][] = [];
const deliver = (connectionId: string, body: SendMessageBody): Promise<boolean> =>
  Promise.resolve(connectionId === "conn-1" && sent.push([connectionId, body]) > 0);
const body = { messages: [{ role: "user", content: "hi", client_message_id: "m-1" }] } satisfies SendMessageBody;

describe("the framework Fastify", () => {
  const app = createFastifyService(deliver);
  afterAll(() => app.close());
  const post = (connectionId: string, payload: object) =>
    app.inject({ method: "POST", url: `/v1/environments/${connectionId}/messages`, payload });

  test("a valid message is delivered, including members unknown to the schema", async () => {
    const response = await post("conn-1", { ...body, trace: "t-1" });
    expect([response.statusCode, response.json()]).toEqual([200, { message: "Delivered", success: true }]);
    expect(sent.pop()).toEqual(["conn-1", { ...body, trace: "t-1" }]);
  });

  test("an invalid body gets the API's problem response, with the member and the rule", async () => {
    const response = await post("conn-1", { messages: [{ ...body.messages[0], role: "system" }] });
    expect(response.headers["content-type"]).toContain("application/problem+json");
    expect([response.statusCode, response.json()]).toMatchObject([400, { errors: [{ member: "messages[0].role" }] }]);
    expect(sent).toEqual([]);
  });

  test("a message to an offline device gets the API's problem response, which says whether a repeat is safe", async () => {
    const response = await post("conn-2", body);
    expect([response.json().errorCode, response.headers["x-should-retry"]]).toEqual(["device_offline", "false"]);
  });
});

describe("the framework tRPC", () => {
  const list = { connections: [], hasNextPage: false };
  const caller = createDevicesCaller({ devices: { list: () => Promise.resolve(list), send: deliver } });

  test("tRPC inputs have the types and rules of the schemas", async () => {
    expectTypeOf(caller.list).parameter(0).toHaveProperty("limit");
    expect(await caller.list({ limit: "5" })).toEqual(list);
    await expect(caller.list({ limit: "0" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    expect(await caller.send({ connectionId: "conn-1", body })).toBe(true);
    const wrong = { messages: body.messages.map((message) => ({ ...message, client_message_id: "" })) };
    await expect(caller.send({ connectionId: "conn-1", body: wrong })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });
});
