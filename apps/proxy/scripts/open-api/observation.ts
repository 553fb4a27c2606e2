/** Schemas and examples of what the gateway reports about itself. */
import { type JsonSchema, wholeNumber } from "../../../../packages/schema/scripts/json-schema.ts";
import type { OptionalAdminRoute } from "../../src/admin/endpoints.ts";
import { auditSearchEndpoint } from "../../src/admin/audit-search.ts";
import { explainEndpoint } from "../../src/explain/endpoint.ts";
import type { Explanation, ExplainedLimit, ExplainedRule } from "../../src/explain/explanation.ts";
import { metricsEndpoints, type MetricsOperation } from "../../src/metrics/endpoints.ts";

/** Names of the operations that not every runtime serves. */
export type OptionalOperation =
  | MetricsOperation
  | typeof auditSearchEndpoint.operation
  | typeof explainEndpoint.operation;

/** The endpoints of the administration that not every runtime serves. */
export const optionalRoutes: readonly (OptionalAdminRoute & { readonly operation: OptionalOperation })[] = [
  ...Object.values(metricsEndpoints),
  auditSearchEndpoint,
  explainEndpoint,
];

const textOrNull: JsonSchema = { anyOf: [{ type: "string" }, { type: "null" }] };
const numberOrNull: JsonSchema = { anyOf: [wholeNumber, { type: "null" }] };
/** An object that has all of these members. */
export const objectOf = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: "object",
  required: Object.keys(properties),
  properties,
});

const ruleMembers: Readonly<Record<keyof ExplainedRule, JsonSchema>> = {
  rule: { type: "string", description: "The step of the pipeline, or the rule of the environment server." },
  result: {
    type: "string",
    enum: ["passed", "refused", "skipped", "unknown"],
    description: "`skipped`: a rule before it refused. `unknown`: only the request itself can tell.",
  },
  detail: { ...textOrNull, description: "The reason in words." },
  errorCode: { ...textOrNull, description: "The code of a refusal." },
};

const limitMembers: Readonly<Record<keyof ExplainedLimit, JsonSchema>> = {
  policy: { type: "string", description: "The name of the policy." },
  mode: { type: "string", enum: ["enforce", "shadow"], description: "`shadow` refuses nothing." },
  allowed: { type: "boolean", description: "Whether the policy allows the request now." },
  remaining: { ...numberOrNull, description: "Units that can be spent now; `null`: unknown." },
  retryAfterMs: { ...numberOrNull, description: "When it would be allowed, in milliseconds; `null`: now, or never." },
};

const explanationMembers: Readonly<Record<keyof Explanation, JsonSchema>> = {
  keyId: {
    ...textOrNull,
    description: "The key, or the id of the subject of the claims; `null`: they make no caller.",
  },
  operation: { ...textOrNull, description: "The operation; `null` if no endpoint matches." },
  verdict: {
    anyOf: [objectOf({ status: wholeNumber, errorCode: textOrNull }), { type: "null" }],
    description: "The response; `null` if the request would be sent on, so that only its outcome is known.",
  },
  rules: { type: "array", items: objectOf(ruleMembers), description: "The rules in their order." },
  limits: {
    type: "array",
    items: objectOf(limitMembers),
    description: "The state of each rate limit. Explaining a request takes nothing from them.",
  },
};

/** The response of `POST /admin/v1/explain`. */
export const explanationSchema: JsonSchema = { title: "Explanation", ...objectOf(explanationMembers) };

/** An example of it. */
export const explanationExample: Explanation = {
  keyId: "p8DxxlMoq9Es",
  operation: "listEnvironments",
  verdict: { status: 403, errorCode: "insufficient_scope" },
  rules: [
    { rule: "match the endpoint", result: "passed", detail: null, errorCode: null },
    { rule: "authenticate", result: "passed", detail: null, errorCode: null },
    {
      rule: "authorise the endpoint",
      result: "refused",
      detail: "The gateway key lacks the scope 'list'.",
      errorCode: "insufficient_scope",
    },
  ],
  limits: [],
};

const startedAt = 1_795_676_400_000;

/** A response of `GET /admin/v1/overview`. */
export const overviewExample = {
  startedAt,
  bucketMs: 60_000,
  buckets: [
    {
      startsAt: startedAt,
      requests: 1_200,
      refused: 14,
      failed: 0,
      rateLimited: 2,
      cacheReads: 1_100,
      cacheHits: 1_034,
      p50Ms: 0.41,
      p95Ms: 2.2,
      p99Ms: 8.5,
      devicesOnline: 12,
    },
  ],
} as const;

const count = (description: string): JsonSchema => ({ ...wholeNumber, description });
/** Percentiles have fractions. */
const milliseconds = (description: string): JsonSchema => ({
  anyOf: [{ type: "number", format: "double" }, { type: "null" }],
  description: `${description}, in milliseconds; \`null\` without requests.`,
});

const bucketMembers: Readonly<Record<keyof (typeof overviewExample)["buckets"][number], JsonSchema>> = {
  startsAt: count("Start of the bucket, in epoch milliseconds."),
  requests: count("Requests to the API and the administration."),
  refused: count("Responses 4xx."),
  failed: count("Responses 5xx."),
  rateLimited: count("Responses 429."),
  cacheReads: count("Reads through the cache."),
  cacheHits: count("Reads that did not call the upstream."),
  p50Ms: milliseconds("Median duration"),
  p95Ms: milliseconds("95th percentile of the durations"),
  p99Ms: milliseconds("99th percentile of the durations"),
  devicesOnline: {
    ...numberOrNull,
    description: "Connected devices at the end of the bucket; `null` where the upstream is remote.",
  },
};

/** The body of `GET /admin/v1/overview`. */
export const overviewSchema: JsonSchema = {
  title: "Overview",
  ...objectOf({
    startedAt: count("Start of the process, in epoch milliseconds."),
    bucketMs: count("Duration of a bucket, in milliseconds."),
    buckets: { type: "array", description: "The oldest first.", items: objectOf(bucketMembers) },
  }),
};

/** A response of `GET /admin/v1/audit`. */
export const auditExample = {
  records: [
    {
      writer: "writer-01m8bb2ecfy55b9kmpqmhnpszf",
      sequence: 14,
      time: startedAt,
      type: "send_started",
      action: null,
      outcome: "ok",
      keyId: "p8DxxlMoq9Es",
      deviceId: "88fd30f6-6337-4c38-b858-2f1581703994",
      members: { tenant: "default", agentId: "agent-1", conversationId: "default", messageIds: ["m-1"], status: 200 },
    },
  ],
  cursor: String(startedAt),
} as const;

const nullableText = (description: string): JsonSchema => ({ ...textOrNull, description });

/** The body of `GET /admin/v1/audit`. */
export const auditSchema: JsonSchema = {
  title: "AuditPage",
  ...objectOf({
    records: {
      type: "array",
      description: "The latest first. A send and a control are one record, with the outcome that was written later.",
      items: objectOf({
        writer: { type: "string", description: "The process that wrote the record." },
        sequence: count("The number of the record in the chain of its writer, from 1."),
        time: count("Epoch milliseconds."),
        type: { type: "string", description: "The type of the record, such as `send_started`." },
        action: nullableText("The change of a key or a device, such as `revoked`; `null` for other records."),
        outcome: nullableText("`ok`, `refused`, `failed` or `unknown`; `null` for records without an end."),
        keyId: nullableText("The key that acted, or that was changed."),
        deviceId: nullableText("The device."),
        members: { type: "object", description: "Everything else that the record says." },
      }),
    },
    cursor: nullableText("The `before` of the next page; `null`: there are no older records."),
  }),
};
