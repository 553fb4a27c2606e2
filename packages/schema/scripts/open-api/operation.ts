/** One endpoint of the table as an operation of the OpenAPI document. */
import type { Endpoint, Operation, ProblemCode } from "../../src/index.ts";
import {
  defaultListLimit,
  eventStreamMediaType,
  maxBodyBytes,
  maxListLimit,
  messageDeduplicationHeader,
} from "../../src/index.ts";
import { components, described, type JsonSchema, jsonSchemaOf } from "../json-schema.ts";
import type { Shape } from "../shape.ts";
import { shapeOf } from "../read-shape.ts";
import { eventStreamContent } from "./events.ts";
import { examples } from "./examples.ts";
import { headerReferences, parameterReferences, timingHeader } from "./headers.ts";
import { limitHeaders, problemResponses } from "./problems.ts";
import { operationTexts, pathParameters, queryParameters } from "./texts.ts";

/** Problems of every endpoint with a key, in addition to its own. */
export const commonProblems: readonly ProblemCode[] = [
  "missing_key",
  "invalid_key",
  "insufficient_scope",
  "rate_limited",
  "internal_error",
  "shutting_down",
  "key_store_unavailable",
  // With signed tokens.
  "issuer_unavailable",
  "limits_unavailable",
  "overloaded",
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
  "loop_detected",
];

/** Problems of a gateway that keeps a log of sends. */
const sendLogProblems: Partial<Record<Operation, readonly ProblemCode[]>> = {
  sendMessage: ["send_in_progress", "idempotency_unavailable"],
  retrieveMessage: ["idempotency_unavailable"],
};

/** Headers of every response to a request with a key. */
export const commonHeaders: readonly string[] = ["x-request-id", "cache-control", "ratelimit", "ratelimit-policy"];

/** Every problem code of an endpoint: its own, and those that the services on the way have. */
function problemsOf({
  audience,
  extension,
  method,
  operation,
  successStatus,
  problems,
}: Endpoint): readonly ProblemCode[] {
  return [
    ...problems,
    ...commonProblems,
    ...(audience === "caller" ? upstreamProblems : []),
    // Of a gateway, since nothing in this API has a strong entity tag. A socket has no preconditions.
    ...(successStatus === 101 ? [] : (["precondition_failed"] as const)),
    ...(sendLogProblems[operation] ?? []),
    // A gateway records what changes something. A ticket does not, only what is sent with it.
    ...(method !== "GET" && operation !== "createViewerTicket" ? (["audit_unavailable"] as const) : []),
    // Not every server has these, and a gateway in front of another server has no sockets.
    ...(extension === true || audience === "device" ? (["endpoint_not_found"] as const) : []),
  ];
}

/** Returns the operation of an endpoint. */
export function operationOf(endpoint: Endpoint): JsonSchema {
  const { summary, description } = operationTexts[endpoint.operation];
  const isRead = isCachedRead(endpoint);
  return {
    operationId: endpoint.operation,
    summary,
    description,
    tags: [endpoint.audience === "caller" ? "environments" : "devices"],
    "x-scope": endpoint.scope,
    ...(endpoint.ownerScope !== undefined && { "x-owner-scope": endpoint.ownerScope }),
    parameters: [
      ...endpoint.params.map((name) => pathParameterOf(name, endpoint.references?.includes(name) === true)),
      ...queryParametersOf(endpoint),
      ...parameterReferences([
        "RequestId",
        ...(isRead || isChange(endpoint) ? ["IfMatch", "IfNoneMatch"] : []),
        ...(endpoint.operation === "sendMessage" ? ["IdempotencyKey", "Prefer"] : []),
        ...(endpoint.mediaType === eventStreamMediaType ? ["LastEventId"] : []),
      ]),
    ],
    ...(endpoint.body !== null && { requestBody: requestBodyOf(endpoint, endpoint.body) }),
    responses: responsesOf(endpoint),
  };
}

/** Whether an endpoint is a read that gateways cache. */
function isCachedRead({ method, audience, extension }: Endpoint): boolean {
  return method === "GET" && audience === "caller" && extension !== true;
}

/** Whether an endpoint changes something that has a URL, so that `If-None-Match: *` says that it must not exist. */
function isChange({ method }: Endpoint): boolean {
  return method === "PATCH" || method === "DELETE";
}

/** The JSON Schema of an id in a path. */
export const identifierSchema: JsonSchema = textSchemaOf("isIdentifier");

const referenceSchema: JsonSchema = textSchemaOf("isReference");

function textSchemaOf(rule: string): JsonSchema {
  const rules = [{ kind: "rule", rule: { name: rule, module: null } }] as const;
  return jsonSchemaOf({ kind: "text", known: [], rules }, components);
}

function pathParameterOf(name: string, isReference: boolean): JsonSchema {
  const schema = isReference ? referenceSchema : identifierSchema;
  const { description, ...rest } = textOf(pathParameters, name);
  return { name, in: "path", required: true, ...rest, ...parameterOf(schema, description) };
}

/** The schema of a parameter, and its description beside it. */
function parameterOf(schema: JsonSchema, text: string): JsonSchema {
  const { description } = described(schema, text);
  return { description, schema };
}

/** The JSON Schema of the size of a page, as a number; the schemas decode it from a string. */
export const listLimitSchema: JsonSchema = {
  type: "integer",
  minimum: 1,
  maximum: maxListLimit,
  default: defaultListLimit,
};

/** More is 60, see `maxWaitSeconds`. The maximum is that of `isWaitSeconds`. */
const waitSecondsSchema: JsonSchema = { type: "integer", minimum: 0, maximum: 999_999_999, default: 30 };

/** Query parameters that the schemas decode from strings to numbers. */
const numericParameters: Readonly<Record<string, JsonSchema>> = {
  limit: listLimitSchema,
  waitSeconds: waitSecondsSchema,
};

function queryParametersOf({ query }: Endpoint): JsonSchema[] {
  if (query === null) return [];
  const shape: Shape = shapeOf(query);
  if (shape.kind !== "object") return [];
  return shape.members.map(({ name, optional, shape: member }) => ({
    name,
    in: "query",
    required: !optional,
    ...parameterOf(numericParameters[name] ?? jsonSchemaOf(member, components), textOf(queryParameters, name)),
  }));
}

/** A new parameter without a text fails the generation. */
function textOf<Text>(texts: Readonly<Record<string, Text>>, name: string): Text {
  const found = texts[name];
  if (found === undefined) throw new Error(`the parameter ${name} has no text in texts.ts`);
  return found;
}

function requestBodyOf({ method, maxBodyBytes: limitBytes = maxBodyBytes }: Endpoint, schema: unknown): JsonSchema {
  const description = `At most ${limitBytes.toLocaleString("en")} bytes.`;
  const content = contentOf(schema);
  // The patches are JSON merge patches (RFC 7396).
  const patch = method === "PATCH" ? { "application/merge-patch+json": content["application/json"] } : {};
  return { description, required: true, content: { ...patch, ...content } };
}

function contentOf(schema: unknown): JsonSchema {
  const shape = shapeOf(schema);
  const example = shape.kind === "object" ? examples.get(shape.name) : undefined;
  if (example === undefined) throw new Error("a body has no example in examples.ts");
  return { "application/json": { schema: jsonSchemaOf(shape, components), example } };
}

function responsesOf(endpoint: Endpoint): JsonSchema {
  const isRead = isCachedRead(endpoint);
  const cacheHeaders = isRead ? ["etag", "age", "cache-status"] : [];
  const declared = declaresDeduplication(endpoint) ? [messageDeduplicationHeader] : [];
  const replayed = endpoint.operation === "sendMessage" ? ["idempotency-replayed"] : [];
  const names = [
    ...commonHeaders,
    "ratelimit-degraded",
    timingHeader,
    ...cacheHeaders,
    ...declared,
    ...replayed,
    ...(endpoint.mediaType === eventStreamMediaType ? ["x-accel-buffering"] : []),
    ...(endpoint.operation === "sendMessage" || endpoint.operation === "retrieveMessage" ? ["preference-applied"] : []),
  ];
  const success = {
    description: operationTexts[endpoint.operation].success,
    ...(endpoint.successStatus !== 101 && { headers: headerReferences(names) }),
    ...(endpoint.response !== null && { content: contentOf(endpoint.response) }),
    ...(endpoint.mediaType === eventStreamMediaType && { content: eventStreamContent }),
  };
  const unchanged = {
    description: "The response has not changed since the one with this entity tag.",
    headers: headerReferences([...commonHeaders, timingHeader, ...cacheHeaders, ...declared]),
  };
  return {
    [endpoint.successStatus]: success,
    ...(isRead && { 304: unchanged }),
    ...problemResponses(problemsOf(endpoint), [
      ...limitHeaders,
      ...(isRead ? ["age", "cache-status"] : []),
      ...declared,
      ...replayed,
      timingHeader,
    ]),
  };
}

/** Whether the responses of an endpoint say that the server deduplicates messages. */
function declaresDeduplication({ audience, operation }: Endpoint): boolean {
  return audience === "caller" && !undeclaredOperations.includes(operation);
}

/** As in the environment server. */
const undeclaredOperations: readonly Operation[] = ["createViewerTicket", "openViewerSocket", "streamEvents"];
