/** Schemas and examples of what the gateway reports about itself. */
import type { JsonSchema } from "../../../../packages/schema/scripts/json-schema.ts";
import { type AdminExtensionEndpoint } from "../../src/admin/endpoints.ts";
import { metricsEndpoints, type MetricsOperation } from "../../src/metrics/endpoints.ts";

/** The endpoints of the administration that not every runtime serves. */
export const extensionEndpoints: readonly (AdminExtensionEndpoint & { readonly operation: MetricsOperation })[] =
  Object.values(metricsEndpoints);

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

const count = (description: string): JsonSchema => ({ type: "integer", description });
const milliseconds = (description: string): JsonSchema => ({
  anyOf: [{ type: "number" }, { type: "null" }],
  description: `${description}, in milliseconds; \`null\` without requests.`,
});

const bucketMembers: Readonly<Record<keyof (typeof overviewExample)["buckets"][number], JsonSchema>> = {
  startsAt: count("Start of the bucket, in epoch milliseconds."),
  requests: count("Requests to the API and the administration."),
  refused: count("Responses 4xx."),
  failed: count("Responses 5xx."),
  rateLimited: count("Responses 429."),
  cacheReads: count("Reads that the cache was asked for."),
  cacheHits: count("Reads that did not call the upstream."),
  p50Ms: milliseconds("Median duration"),
  p95Ms: milliseconds("95th percentile of the durations"),
  p99Ms: milliseconds("99th percentile of the durations"),
  devicesOnline: {
    anyOf: [{ type: "integer" }, { type: "null" }],
    description: "Connected devices at the end of the bucket; `null` where the upstream is remote.",
  },
};

/** The body of `GET /admin/v1/overview`. */
export const overviewSchema: JsonSchema = {
  title: "Overview",
  type: "object",
  required: ["startedAt", "bucketMs", "buckets"],
  properties: {
    startedAt: count("Start of the process, in epoch milliseconds."),
    bucketMs: count("Duration of a bucket, in milliseconds."),
    buckets: {
      type: "array",
      description: "The oldest first.",
      items: { type: "object", required: Object.keys(bucketMembers), properties: bucketMembers },
    },
  },
};
