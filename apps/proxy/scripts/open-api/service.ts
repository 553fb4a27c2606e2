/** The routes that need no key, and the report of the rate limits, as operations of the API description. */
import type { ProblemCode } from "@letta-environments/schema";
import type { JsonSchema } from "../../../../packages/schema/scripts/json-schema.ts";
import { headerReferences, parameterReferences } from "../../../../packages/schema/scripts/open-api/headers.ts";
import {
  commonHeaders,
  commonProblems,
  identifierSchema,
} from "../../../../packages/schema/scripts/open-api/operation.ts";
import { limitHeaders, problemResponses } from "../../../../packages/schema/scripts/open-api/problems.ts";
import { limitedOperations } from "../../src/limits/endpoint.ts";

const publicHeaders = headerReferences(["x-request-id", "cache-control"]);

const verbose: JsonSchema = {
  name: "verbose",
  in: "query",
  required: false,
  allowEmptyValue: true,
  description: "Plain text with a line for each check, also when the response is 503.",
  schema: { type: "string", const: "" },
};
const verboseContent: JsonSchema = {
  schema: { type: "string" },
  example: "[+]disk ok\n[+]keys ok\n[+]audit ok\n[+]devices ok\n[+]shutdown ok\nreadyz check passed\n",
};

type HealthTexts = Readonly<Record<"operationId" | "summary" | "description" | "status", string>>;

const failedContent: JsonSchema = {
  schema: { type: "string" },
  example: "[+]disk ok\n[-]keys failed\n[+]audit ok\n[+]devices ok\n[+]shutdown ok\nreadyz check failed\n",
};

function health({ status, isReadiness, ...texts }: HealthTexts & { readonly isReadiness: boolean }): JsonSchema {
  const content = { schema: { $ref: "#/components/schemas/Health" }, example: { status } };
  return {
    ...texts,
    tags: ["service"],
    security: [],
    parameters: [...(isReadiness ? [verbose] : []), ...parameterReferences(["RequestId"])],
    responses: {
      200: {
        description: texts.summary,
        headers: publicHeaders,
        content: { "application/json": content, ...(isReadiness && { "text/plain": verboseContent }) },
      },
      ...(isReadiness
        ? problemResponses(["method_not_allowed", "shutting_down", "not_ready"], [], {
            503: { "text/plain": failedContent },
          })
        : problemResponses(["method_not_allowed"])),
    },
  };
}

/** The routes of `host/routes.ts` by their paths. */
export const serviceOperations: Readonly<Record<string, JsonSchema>> = {
  "/livez": health({
    operationId: "checkLiveness",
    summary: "Whether the process responds.",
    description: "Needs no key and calls nothing else. A platform restarts a process that does not respond.",
    status: "alive",
    isReadiness: false,
  }),
  "/readyz": health({
    operationId: "checkReadiness",
    summary: "Whether the process can serve requests.",
    description:
      "Needs no key. 503 while the process stops, and while its disk or one of its stores cannot be used, so that a load balancer " +
      "sends new requests elsewhere. The upstream is never called.",
    status: "ready",
    isReadiness: true,
  }),
  "/openapi.json": {
    operationId: "describeApi",
    summary: "This document.",
    description: "The OpenAPI 3.1 description of every route. It changes with a release only, and needs no key.",
    tags: ["service"],
    security: [],
    parameters: parameterReferences(["RequestId", "IfNoneMatch"]),
    responses: {
      200: {
        description: "The OpenAPI document.",
        headers: { ...publicHeaders, ...headerReferences(["etag"]) },
        content: { "application/json": { schema: { type: "object" }, example: { openapi: "3.1.1" } } },
      },
      304: {
        description: "The document has not changed since the one with this entity tag.",
        headers: { ...publicHeaders, ...headerReferences(["etag"]) },
      },
      ...problemResponses(["method_not_allowed"]),
    },
  },
};

/** Every problem code of `GET /v1/ratelimit`. */
const rateLimitProblems: readonly ProblemCode[] = [
  "invalid_request",
  ...commonProblems.filter((code) => code !== "insufficient_scope"),
];

/** `GET /v1/ratelimit`. */
export const rateLimitOperation: JsonSchema = {
  operationId: "retrieveRateLimit",
  summary: "What remains of the caller's rate limits.",
  description:
    "Every key may call this, whatever its scopes. It charges none of the reported policies, and has a limit of its own.",
  tags: ["rate limits"],
  parameters: [
    {
      name: "operation",
      in: "query",
      required: false,
      description: "The operation whose limits are reported.",
      schema: { type: "string", enum: limitedOperations, default: "listEnvironments" },
    },
    {
      name: "deviceId",
      in: "query",
      required: false,
      description: "The device whose limits are reported, where limits are counted for each device.",
      schema: identifierSchema,
    },
    ...parameterReferences(["RequestId"]),
  ],
  responses: {
    200: {
      description: "The policies that apply to the operation.",
      headers: headerReferences([...commonHeaders, "ratelimit-degraded"]),
      content: {
        "application/json": {
          schema: { $ref: "#/components/schemas/RateLimitReport" },
          example: {
            operation: "sendMessage",
            policies: [
              {
                name: "sends",
                unit: "requests",
                mode: "enforce",
                limit: 60,
                windowMs: 60_000,
                burst: 20,
                allowed: true,
                remaining: 19,
                resetMs: 1_000,
                retryAfterMs: null,
                degraded: null,
              },
            ],
          },
        },
      },
    },
    ...problemResponses(rateLimitProblems, limitHeaders),
  },
};
