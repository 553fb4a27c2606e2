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

  test("is valid OpenAPI 3.1 to an independent validator", async () => {
    const result = await new Validator().validate({ ...document });
    expect(result).toEqual({ valid: true });
  });

  test.each(Object.values<Endpoint>({ ...endpoints }))(
    "describes $operation with every problem of its own",
    (endpoint) => {
      const operation = document.paths[endpoint.path]?.[endpoint.method.toLowerCase()];
      const statuses = endpoint.problems.map((code) => String(problemDefinitions[code].status));
      expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(statuses));
    },
  );

  test.each(Object.values<Endpoint>({ ...endpoints }).filter(({ body }) => body !== null))(
    "says of $operation that a body can be too large, or of another type",
    (endpoint) => {
      expect(endpoint.problems).toEqual(expect.arrayContaining(["body_too_large", "unsupported_media_type"]));
    },
  );

  test("says of a record that it may have members, which generators of types would else deny", () => {
    const { ApprovalDecision } = document.components.schemas;
    const record = { type: "object", additionalProperties: true };
    expect(ApprovalDecision?.properties["updated_input"]).toEqual({ anyOf: [record, { type: "null" }] });
  });

  test("tells callers what a gateway answers when the server behind it fails, and devices nothing of that", () => {
    const statusesOf = (path: string, method: string): string[] =>
      Object.keys(document.paths[path]?.[method]?.responses ?? {});
    expect(statusesOf("/v1/environments", "get")).toEqual(expect.arrayContaining(["502", "503", "504"]));
    expect(statusesOf("/v1/environments/register", "post")).not.toContain("502");
  });

  test("says that approvals require a scope of their own, and that tool returns are refused", () => {
    const { description } = document.paths[endpoints.sendMessage.path]?.["post"] ?? {};
    expect(description).toContain("requires the scope `approve`");
    expect(description).toContain("`approvals_unsupported`");
  });

  test("names no path beyond the table", () => {
    const paths = new Set(Object.values(endpoints).map(({ path }) => path));
    expect(new Set(Object.keys(document.paths))).toEqual(paths);
  });
});

describe("JSON Schema: an independent validator agrees on real bodies", () => {
  const validators = new Map(
    guardedTypes.map(({ name }) => {
      // A new instance each: the documents have definitions of the same names.
      const schema = readJson(`json-schema/${name}.json`) as object;
      return [name, new Ajv2020({ allErrors: true, strict: false }).compile(schema)] as const;
    }),
  );

  test.each(guardedTypes)("$name", ({ name, bodies }) => {
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
  ])("%s of %s with another %j is refused", (name, fixture, path, value) => {
    expect(validators.get(name)?.(withMember(readFixture(fixture), path, value))).toBe(false);
  });
});
