/** The endpoints of the administration as operations of the API description, from their table and `admin-texts.ts`. */
import type { JsonSchema } from "../../../../packages/schema/scripts/json-schema.ts";
import { headerReferences, parameterReferences } from "../../../../packages/schema/scripts/open-api/headers.ts";
import {
  commonHeaders,
  commonProblems,
  identifierSchema,
  listLimitSchema,
} from "../../../../packages/schema/scripts/open-api/operation.ts";
import { limitHeaders, problemResponses } from "../../../../packages/schema/scripts/open-api/problems.ts";
import type { ProblemCode } from "@letta-environments/schema";
import { type AdminEndpoint, adminEndpoints } from "../../src/admin/endpoints.ts";
import { optionalRoutes } from "./observation.ts";
import { adminPathParameters, adminQueryParameters, adminTexts } from "./admin-texts.ts";
import { inputSchema } from "./rules.ts";
import { requestSchema } from "./schemas.ts";

type DescribedEndpoint = AdminEndpoint | (typeof optionalRoutes)[number];

/** The endpoints of the administration on Node.js, Bun and Deno. */
export const describedEndpoints: readonly DescribedEndpoint[] = [...adminEndpoints, ...optionalRoutes];

/** Every problem code of an endpoint. */
function adminProblems({ operation }: DescribedEndpoint): readonly ProblemCode[] {
  return ["endpoint_not_found", ...adminTexts[operation].problems, ...commonProblems];
}

/** The bodies of the administration, by the names of their components. */
export function adminBodies(): Readonly<Record<string, JsonSchema>> {
  const bodies = describedEndpoints.flatMap(({ operation, body }) => {
    const text = adminTexts[operation].body;
    return body === null || text === undefined ? [] : [[text.schema, requestSchema(text.schema, body)] as const];
  });
  return Object.fromEntries(bodies);
}

/** Returns the operation of an endpoint. */
export function adminOperation(endpoint: DescribedEndpoint): JsonSchema {
  const { summary, description, success, body, isConditional = false } = adminTexts[endpoint.operation];
  const [mediaTypes, content] = [
    body?.mediaTypes ?? ["application/json"],
    body && contentOf(body.schema, body.example),
  ];
  return {
    operationId: endpoint.operation,
    summary,
    description,
    tags: ["administration"],
    "x-scope": "admin",
    security: [{ key: [] }, { operator: [] }],
    parameters: [
      ...pathParametersOf(endpoint.path),
      ...queryParametersOf(endpoint),
      ...parameterReferences(["RequestId", ...(isConditional ? ["KeyIfMatch", "IfNoneMatch"] : [])]),
    ],
    ...(content !== undefined && {
      requestBody: {
        required: endpoint.mayLackBody !== true,
        content: Object.fromEntries(mediaTypes.map((type) => [type, content])),
      },
    }),
    responses: {
      [success.status]: {
        description: success.description,
        headers: headerReferences([...commonHeaders, ...(success.headers ?? [])]),
        ...(success.textTypes !== undefined && {
          content: Object.fromEntries(
            success.textTypes.map((type) => [type, { schema: { type: "string" }, example: success.example }]),
          ),
        }),
        ...(success.schema !== undefined && {
          content: { "application/json": contentOf(success.schema, success.example) },
        }),
      },
      ...(isConditional && endpoint.method === "GET" && { 304: unchanged }),
      ...problemResponses(adminProblems(endpoint), limitHeaders),
    },
  };
}

const unchanged: JsonSchema = {
  description: "The key has not changed since it had this entity tag.",
  headers: headerReferences([...commonHeaders, "etag"]),
};

function contentOf(schema: string, example: unknown): JsonSchema {
  return { schema: { $ref: `#/components/schemas/${schema}` }, example };
}

function pathParametersOf(path: string): readonly JsonSchema[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    ...textOf(adminPathParameters, name),
    schema: identifierSchema,
  }));
}

function queryParametersOf({ query }: DescribedEndpoint): readonly JsonSchema[] {
  if (query === null) return [];
  return Object.entries(inputSchema(query)["properties"] ?? {}).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    description: textOf(adminQueryParameters, name),
    schema: name === "limit" ? listLimitSchema : schema,
  }));
}

/** A new parameter without a text fails the generation. */
function textOf<Text>(texts: Readonly<Record<string, Text>>, name: string): Text {
  const found = texts[name];
  if (found === undefined) throw new Error(`the parameter ${name} has no text in admin-texts.ts`);
  return found;
}
