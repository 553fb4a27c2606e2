import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { type Endpoint, endpoints, problemDefinitions } from "../src/index.ts";
import { guardedTypes } from "./guarded-types.ts";
import { readFixture, withMember } from "./read-fixture.ts";

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), "utf8"));
}

interface OpenApi {
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>>;
  };
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly description?: string; readonly responses: Readonly<Record<string, unknown>> }>>
    >
  >;
}

describe("the OpenAPI document", () => {
  const document = readJson("openapi.json") as OpenApi;

  test("is valid OpenAPI 3.1 for an independent validator", async () => {
    const result = await new Validator().validate({ ...document });
    expect(result).toEqual({ valid: true });
  });

  test.each(Object.values<Endpoint>({ ...endpoints }))("has every problem of $operation", (endpoint) => {
    const operation = document.paths[endpoint.path]?.[endpoint.method.toLowerCase()];
    const statuses = endpoint.problems.map((code) => String(problemDefinitions[code].status));
    expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(statuses));
  });

  test.each(Object.values<Endpoint>({ ...endpoints }).filter(({ body }) => body !== null))(
    "has 413 and 415 for $operation, which takes a body",
    (endpoint) => {
      expect(endpoint.problems).toEqual(expect.arrayContaining(["body_too_large", "unsupported_media_type"]));
    },
  );

  test("allows additional properties in a record explicitly, because type generators require it", () => {
    const { ApprovalDecision } = document.components.schemas;
    const record = { type: "object", additionalProperties: true };
    expect(ApprovalDecision?.properties["updated_input"]).toEqual({ anyOf: [record, { type: "null" }] });
  });

  test("has the problems of an upstream for callers, and not for devices", () => {
    const statusesOf = (path: string, method: string): string[] =>
      Object.keys(document.paths[path]?.[method]?.responses ?? {});
    expect(statusesOf("/v1/environments", "get")).toEqual(expect.arrayContaining(["502", "503", "504"]));
    expect(statusesOf("/v1/environments/register", "post")).not.toContain("502");
  });

  test("states that approvals require their own scope and that tool returns are refused", () => {
    const { description } = document.paths[endpoints.sendMessage.path]?.["post"] ?? {};
    expect(description).toContain("requires the scope `approve`");
    expect(description).toContain("`approvals_unsupported`");
  });

  test("has exactly the paths of the endpoint table", () => {
    const paths = new Set(Object.values(endpoints).map(({ path }) => path));
    expect(new Set(Object.keys(document.paths))).toEqual(paths);
  });
});

describe("JSON Schema with an independent validator", () => {
  const validators = new Map(
    guardedTypes.map(({ name }) => {
      // A new instance for each, because the documents have definitions with the same names.
      const schema = readJson(`json-schema/${name}.json`) as object;
      return [name, new Ajv2020({ allErrors: true, strict: false }).compile(schema)] as const;
    }),
  );

  test.each(guardedTypes)("accepts valid bodies of $name and refuses an array", ({ name, bodies }) => {
    const validate = validators.get(name);
    for (const body of bodies) expect([validate?.(body), validate?.errors]).toEqual([true, null]);
    expect(validate?.([])).toBe(false);
  });

  test.each([
    ["Environment", "letta-code-row", ["id"], 5],
    ["Environment", "letta-code-row", ["metadata", "self_update"], []],
    ["SendMessageBody", "letta-code-send", ["messages", 0, "role"], "system"],
    ["SendMessageBody", "approval-send", ["messages", 0, "approvals"], []],
    ["RegisterRequest", "letta-code-register", ["deviceId"], ".."],
    ["RegisterRequest", "letta-code-register", ["connectionName"], "a\u0000"],
  ])("refuses a %s, made from %s, with a wrong %j", (name, fixture, path, value) => {
    expect(validators.get(name)?.(withMember(readFixture(fixture), path, value))).toBe(false);
  });
});
