import { sValidator } from "@hono/standard-validator";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { Hono } from "hono";
import { up } from "up-fetch";
import { describe, expect, test } from "vitest";
import { EnvironmentListSchema, type PlainResponse, problemResponse, SendMessageBodySchema } from "../src/index.ts";
import * as schema from "../src/index.ts";
import { guardedTypes } from "./guarded-types.ts";
import { readFixture } from "./read-fixture.ts";

function toResponse({ status, headers, body }: PlainResponse): Response {
  return new Response(typeof body === "string" ? body : null, { status, headers });
}

const exported = Object.entries(schema).filter(([name]) => name.endsWith("Schema"));

test.each(exported)("the schema %s is a Standard Schema", (_name, given) => {
  const standard = given as StandardSchemaV1;
  expect(standard["~standard"]).toMatchObject({ version: 1, vendor: "valibot", validate: expect.any(Function) });
});

test.each(guardedTypes)(
  "the standard validate function of $name returns the body or issues",
  async ({ schema: given, bodies }) => {
    const standard: StandardSchemaV1 = given;
    for (const body of bodies) expect(await standard["~standard"].validate(body)).not.toHaveProperty("issues");
    expect(await standard["~standard"].validate([])).toHaveProperty("issues");
  },
);

describe("@hono/standard-validator", () => {
  const app = new Hono().post(
    "/messages",
    sValidator("json", SendMessageBodySchema, (result) => {
      if (!result.success) return toResponse(problemResponse("invalid_request"));
      return undefined;
    }),
    (context) => context.json({ count: context.req.valid("json").messages.length }),
  );
  const post = (body: unknown): Response | Promise<Response> =>
    app.request("/messages", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  test("the Hono validator passes a valid body to the handler", async () => {
    expect(await (await post(readFixture("letta-code-send"))).json()).toEqual({ count: 1 });
  });

  test("the Hono validator responds with a problem from the hook, which does not repeat the input", async () => {
    const response = await post({ messages: "s3cr3t" });
    expect([response.status, response.headers.get("content-type")]).toEqual([400, "application/problem+json"]);
    expect(await response.text()).not.toContain("s3cr3t");
  });
});

describe("up-fetch", () => {
  const fetchOf = (body: unknown) =>
    up((_input: RequestInfo | URL, _options?: RequestInit) => Promise.resolve(Response.json(body)));

  test("up-fetch returns a valid response and throws for an invalid one", async () => {
    const list = readFixture("api-example");
    expect(await fetchOf(list)("http://localhost/", { schema: EnvironmentListSchema })).toEqual(list);
    await expect(fetchOf({ connections: 1 })("http://localhost/", { schema: EnvironmentListSchema })).rejects.toThrow(
      /connections|array/,
    );
  });
});
