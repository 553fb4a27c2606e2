import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { eventExamples, examples } from "../scripts/open-api/examples.ts";
import { findEnvironmentListDrift } from "../src/checks/drift.gen.ts";
import {
  checkValue,
  type Endpoint,
  endpoints,
  type EnvironmentList,
  messageDeduplicationHeader,
  problemDefinitions,
} from "../src/index.ts";
import { guardedTypes } from "./guarded-types.ts";
import { readFixture, withMember } from "./read-fixture.ts";

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), "utf8"));
}

interface OpenApiOperation {
  readonly description?: string;
  readonly parameters: readonly object[];
  readonly responses: Readonly<Record<string, { readonly headers?: object }>>;
}

interface OpenApi {
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>>;
    readonly parameters: Readonly<Record<string, object>>;
    readonly headers: Readonly<Record<string, object>>;
  };
  readonly tags: readonly object[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
}

const sentence: unknown = expect.stringMatching(/^.{3,}$/s);

describe("the OpenAPI document", () => {
  const document = readJson("openapi.json") as OpenApi;
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));

  test("the OpenAPI document is valid OpenAPI 3.1 for an independent validator", async () => {
    const result = await new Validator().validate({ ...document });
    expect(result).toEqual({ valid: true });
  });

  test.each(Object.values<Endpoint>({ ...endpoints }))(
    "the OpenAPI document has every problem of $operation",
    (endpoint) => {
      const operation = document.paths[endpoint.path]?.[endpoint.method.toLowerCase()];
      const statuses = endpoint.problems.map((code) => String(problemDefinitions[code].status));
      expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(statuses));
    },
  );

  test.each(Object.values<Endpoint>({ ...endpoints }).filter(({ body }) => body !== null))(
    "the OpenAPI document has 413 and 415 for $operation, which takes a body",
    (endpoint) => {
      expect(endpoint.problems).toEqual(expect.arrayContaining(["body_too_large", "unsupported_media_type"]));
    },
  );

  test("the OpenAPI document allows additional properties in a record explicitly, because type generators require it", () => {
    const { ApprovalDecision } = document.components.schemas;
    const record = { type: "object", additionalProperties: true };
    expect(ApprovalDecision?.properties["updated_input"]).toMatchObject({ anyOf: [record, { type: "null" }] });
  });

  test("the OpenAPI document has the problems of an upstream for callers, and not for devices", () => {
    const statusesOf = (path: string, method: string): string[] =>
      Object.keys(document.paths[path]?.[method]?.responses ?? {});
    expect(statusesOf("/v1/environments", "get")).toEqual(expect.arrayContaining(["502", "503", "504"]));
    expect(statusesOf("/v1/environments/register", "post")).not.toContain("502");
  });

  test("the OpenAPI document states that approvals require their own scope and that tool returns are refused", () => {
    const { description } = document.paths[endpoints.sendMessage.path]?.["post"] ?? {};
    expect(description).toContain("requires the scope `approve`");
    expect(description).toContain("`approvals_unsupported`");
  });

  test("the OpenAPI document explains every operation, parameter, header, tag, problem and member", () => {
    for (const { properties } of Object.values(document.components.schemas)) {
      for (const member of Object.values(properties)) expect(member).toMatchObject({ description: sentence });
    }
    for (const operation of operations) expect(operation).toMatchObject({ summary: sentence, description: sentence });
    const parameters = operations.flatMap((operation) => operation.parameters);
    const described = [
      ...parameters.filter((parameter) => !("$ref" in parameter)),
      ...Object.values(document.components.parameters),
      ...Object.values(document.components.headers),
      ...document.tags,
    ];
    for (const part of described) expect(part).toMatchObject({ description: sentence });
    for (const { responses } of operations) {
      for (const response of Object.values(responses)) expect(response).toMatchObject({ description: sentence });
    }
  });

  test("the OpenAPI document shows what reads return when nothing has changed, and the headers that make a repeat safe", () => {
    const read = document.paths[endpoints.retrieveEnvironment.path]?.["get"];
    expect(Object.keys(read?.responses["304"]?.headers ?? {})).toContain("etag");
    expect(read?.parameters).toContainEqual({ $ref: "#/components/parameters/IfNoneMatch" });
    const send = document.paths[endpoints.sendMessage.path]?.["post"];
    expect(send?.parameters).toContainEqual({ $ref: "#/components/parameters/IdempotencyKey" });
    expect(Object.keys(send?.responses["200"]?.headers ?? {})).toEqual(
      expect.arrayContaining([messageDeduplicationHeader, "idempotency-replayed", "x-request-id", "ratelimit"]),
    );
    expect(Object.keys(send?.responses["429"]?.headers ?? {})).toEqual(
      expect.arrayContaining(["retry-after", "x-should-retry"]),
    );
    expect(document.components.schemas["SendMessageResponse"]?.properties).toHaveProperty("disposition");
  });

  test("the OpenAPI document declares a header exactly for the responses that can have it", () => {
    const having = (name: string, path: string, method: string): string[] =>
      Object.entries(document.paths[path]?.[method]?.responses ?? {})
        .filter(([, { headers }]) => Object.hasOwn(headers ?? {}, name))
        .map(([status]) => status);
    const send = endpoints.sendMessage.path;
    expect(having("idempotency-replayed", send, "post")).toEqual(["200", "409", "504"]);
    for (const read of [endpoints.listEnvironments, endpoints.retrieveEnvironment]) {
      expect(having(messageDeduplicationHeader, read.path, "get")).toContain("304");
    }
    expect(having(messageDeduplicationHeader, send, "post")).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(?:412|413|415)$/)]),
    );
    expect(having(messageDeduplicationHeader, endpoints.createViewerTicket.path, "post")).toEqual([]);
    expect(having(messageDeduplicationHeader, endpoints.streamEvents.path, "get")).toEqual([]);
    expect(having("x-accel-buffering", endpoints.streamEvents.path, "get")).toEqual(["200"]);
  });

  test("the OpenAPI document declares the media types, the preconditions and the minimum of one member of a device change", () => {
    const { path } = endpoints.updateEnvironment;
    const change = document.paths[path]?.["patch"];
    expect(Object.keys((change as { requestBody?: { content: object } }).requestBody?.content ?? {})).toEqual([
      "application/merge-patch+json",
      "application/json",
    ]);
    for (const operation of [change, document.paths[path]?.["delete"], document.paths[path]?.["get"]]) {
      for (const name of ["IfMatch", "IfNoneMatch"]) {
        expect(operation?.parameters).toContainEqual({ $ref: `#/components/parameters/${name}` });
      }
    }
    expect(document.components.schemas["EnvironmentPatch"]).toMatchObject({
      anyOf: [{ required: ["displayName"] }, { required: ["tags"] }],
    });
  });

  test("the OpenAPI document names the unit of every maximum length, and the size of the metadata of a device", () => {
    for (const { properties } of Object.values(document.components.schemas)) {
      for (const member of Object.values(properties)) {
        if (JSON.stringify(member).includes("maxLength"))
          expect(member).toMatchObject({ description: expect.stringContaining("UTF-16") });
      }
    }
    const { RegisterRequest } = document.components.schemas;
    expect(RegisterRequest?.properties["metadata"]).toMatchObject({
      description: expect.stringContaining("16,384 characters"),
    });
  });

  test("the OpenAPI document has realistic examples: each body is valid and has no unknown member", () => {
    for (const { name, schema } of guardedTypes) {
      const example = examples.get(name);
      if (example === undefined) continue;
      expect([name, checkValue(schema, example, "body")]).toMatchObject([name, { ok: true }]);
    }
    expect(findEnvironmentListDrift(examples.get("EnvironmentList") as EnvironmentList)).toEqual([]);
    expect(JSON.stringify(document)).not.toContain("future_member");
  });

  test("the OpenAPI document describes the data of every event as a component, with valid examples without unknown members", () => {
    const formats = { int64: true, double: true } as const;
    const validator = new Ajv2020({ strict: false, formats }).addSchema({
      $id: "api",
      components: document.components,
    });
    for (const [type, data] of Object.entries(eventExamples)) {
      const name = `${type.charAt(0).toUpperCase()}${type.slice(1)}Event`;
      const { properties = {}, ...rest } = document.components.schemas[name] ?? {};
      expect([name, rest]).toMatchObject([name, { examples: data }]);
      const validate = validator.compile({ $ref: `api#/components/schemas/${name}` });
      for (const example of data) {
        expect([name, validate(example), validate.errors]).toEqual([name, true, null]);
        expect(Object.keys(properties)).toEqual(expect.arrayContaining(Object.keys(example)));
      }
      const stream = document.paths[endpoints.streamEvents.path]?.["get"];
      expect(stream?.description).toContain(`- \`${type}\``);
      expect(stream?.description).toContain(`\`${name}\``);
      expect(JSON.stringify(stream?.responses["200"])).toContain(`"#/components/schemas/${name}"`);
    }
  });

  test("the OpenAPI document has exactly the paths of the endpoint table", () => {
    const paths = new Set(Object.values(endpoints).map(({ path }) => path));
    expect(new Set(Object.keys(document.paths))).toEqual(paths);
  });
});

// Fastify and many tools read the draft 7, OpenAPI 3.1 reads 2020-12.
describe.each([
  ["draft 7, strictly", () => new Ajv({ allErrors: true })],
  ["draft 2020-12", () => new Ajv2020({ allErrors: true, strict: false })],
])("JSON Schema with an independent validator of %s", (_draft, createValidator) => {
  const validators = new Map(
    guardedTypes.map(({ name }) => {
      // A new instance for each, because the documents have definitions with the same names.
      const schema = readJson(`json-schema/${name}.json`) as object;
      return [name, createValidator().compile(schema)] as const;
    }),
  );

  test.each(guardedTypes)("the JSON Schema accepts valid bodies of $name and refuses an array", ({ name, bodies }) => {
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
  ])("the JSON Schema refuses a %s, made from %s, with a wrong %j", (name, fixture, path, value) => {
    expect(validators.get(name)?.(withMember(readFixture(fixture), path, value))).toBe(false);
  });
});
