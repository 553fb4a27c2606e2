/** The OpenAPI 3.1 document, from the endpoint table, the problem codes and the shapes of the bodies. */
import { readFileSync } from "node:fs";
import {
  endpoints,
  type Endpoint,
  messageDeduplicationHeader,
  problemBody,
  type ProblemCode,
  problemDefinitions,
} from "../src/index.ts";
import { type JsonSchema, jsonSchemaOf, objectSchemaOf } from "./json-schema.ts";
import { objectsOf, type Shape } from "./shape.ts";
import { shapeOf, type WireType } from "./wire-types.ts";

const prefix = "#/components/schemas/";

/** Problems of every endpoint, in addition to its own. */
const commonProblems: readonly ProblemCode[] = [
  "missing_key",
  "invalid_key",
  "insufficient_scope",
  "rate_limited",
  "internal_error",
  "shutting_down",
  "key_store_unavailable",
  "limits_unavailable",
];

/** Problems of a gateway in front of another server. */
const upstreamProblems: readonly ProblemCode[] = [
  "tenant_not_configured",
  "upstream_forbidden",
  "upstream_credential_rejected",
  "upstream_error",
  "upstream_invalid_response",
  "upstream_response_too_large",
  "upstream_redirected",
  "upstream_unreachable",
  "upstream_timeout",
];

/** Fixtures with real bodies, by the name of their interface. */
const examples: ReadonlyMap<string, string> = new Map([
  ["Environment", "letta-code-row"],
  ["EnvironmentList", "api-example"],
  ["SendMessageBody", "letta-code-send"],
  ["RegisterRequest", "letta-code-register"],
]);

/** Returns the OpenAPI document. */
export function emitOpenApi(types: readonly WireType[]): string {
  const objects = types
    .filter(({ name }) => name !== "ListEnvironmentsWireQuery")
    .flatMap(({ shape }) => objectsOf(shape));
  const paths: Record<string, Record<string, unknown>> = {};
  for (const endpoint of Object.values<Endpoint>({ ...endpoints })) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operationOf(endpoint) };
  }
  const document = {
    openapi: "3.1.1",
    info: {
      title: "Letta Code Environments API",
      version: "1.0.0",
      description:
        "Lists the devices on which Letta Code runs, retrieves one, and sends messages to one. Servers may add members to any object at any time.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ key: [] }],
    paths,
    components: {
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "A gateway key." } },
      schemas: Object.fromEntries(objects.map((object) => [object.name, objectSchemaOf(object, prefix)])),
    },
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function operationOf(endpoint: Endpoint): JsonSchema {
  return {
    operationId: endpoint.operation,
    summary: endpoint.summary,
    ...(endpoint.description !== undefined && { description: endpoint.description }),
    tags: [endpoint.audience],
    "x-scope": endpoint.scope,
    parameters: [
      ...endpoint.params.map((name) => ({ name, in: "path", required: true, schema: identifier })),
      ...queryParameters(endpoint),
    ],
    ...(endpoint.body !== null && { requestBody: { required: true, content: contentOf(endpoint.body) } }),
    responses: responsesOf(endpoint),
  };
}

const identifier = jsonSchemaOf(
  { kind: "text", known: [], rules: [{ kind: "rule", rule: { name: "isIdentifier", module: null } }] },
  prefix,
);

function queryParameters({ query }: Endpoint): JsonSchema[] {
  if (query === null) return [];
  const shape: Shape = shapeOf(query);
  if (shape.kind !== "object") return [];
  return shape.members.map(({ name, optional, shape: member }) => ({
    name,
    in: "query",
    required: !optional,
    schema:
      name === "limit" ? { type: "integer", minimum: 1, maximum: 100, default: 50 } : jsonSchemaOf(member, prefix),
  }));
}

function contentOf(schema: unknown): JsonSchema {
  const shape = shapeOf(schema);
  const fixture = shape.kind === "object" ? examples.get(shape.name) : undefined;
  const example = fixture === undefined ? {} : { example: readFixture(fixture) };
  return { "application/json": { schema: jsonSchemaOf(shape, prefix), ...example } };
}

function responsesOf(endpoint: Endpoint): JsonSchema {
  const success = {
    description: endpoint.successStatus === 101 ? "The connection switches to WebSocket." : "Success.",
    ...(endpoint.audience === "caller" && { headers: deduplicationHeader }),
    ...(endpoint.response !== null && { content: contentOf(endpoint.response) }),
  };
  const gatewayProblems: readonly ProblemCode[] = [
    ...(endpoint.audience === "caller" ? upstreamProblems : []),
    ...(endpoint.operation === "sendMessage"
      ? (["audit_unavailable", "send_in_progress", "idempotency_unavailable"] as const)
      : []),
  ];
  const codes = [...new Set([...endpoint.problems, ...commonProblems, ...gatewayProblems])];
  const statuses = [...new Set(codes.map((code) => problemDefinitions[code].status))].sort(
    (left, right) => left - right,
  );
  const problems = statuses.map((status) => {
    const ofStatus = codes.filter((code) => problemDefinitions[code].status === status);
    const shown = Object.fromEntries(ofStatus.map((code) => [code, { value: problemBody(code) }]));
    const content = { "application/problem+json": { schema: { $ref: `${prefix}Problem` }, examples: shown } };
    return [status, { description: ofStatus.map((code) => problemDefinitions[code].title).join("; "), content }];
  });
  return { [endpoint.successStatus]: success, ...Object.fromEntries(problems) };
}

const deduplicationHeader: JsonSchema = {
  [messageDeduplicationHeader]: {
    description:
      "Present if the server deduplicates messages: the number of seconds for which it remembers a `client_message_id`.",
    schema: { type: "integer", minimum: 1 },
    example: 86_400,
  },
};

function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../test/fixtures/${name}.json`, import.meta.url), "utf8"));
}
