/** `/metrics` and `/admin/v1/overview`: the table of metrics for machines and for people, with the authentication of the administration. */
import { jsonResponse, problemResponse } from "@letta-environments/schema";
import { type OptionalAdminEndpoint, type OptionalAdminRoute, metricsPath, NoQuerySchema } from "../admin/endpoints.ts";
import { chooseFormat, expositionTypes, formatMetrics } from "./exposition.ts";
import { type OverviewBucket, overviewBucketMs } from "./overview.ts";
import type { MetricReading } from "./table.ts";

/** Operations of this folder. */
export type MetricsOperation = "readMetrics" | "retrieveOverview";

/** The endpoints as data. */
export const metricsEndpoints: Readonly<
  Record<MetricsOperation, OptionalAdminRoute & { readonly operation: MetricsOperation }>
> = {
  readMetrics: { operation: "readMetrics", method: "GET", path: metricsPath, query: NoQuerySchema, body: null },
  retrieveOverview: {
    operation: "retrieveOverview",
    method: "GET",
    path: "/admin/v1/overview",
    query: NoQuerySchema,
    body: null,
  },
};

/** The functions that the endpoints need. */
export interface MetricsEndpointPorts {
  readonly read: () => readonly MetricReading[];
  /** Reads the figures of the whole gateway since its start, at most the last hour. */
  readonly overview: () => {
    /** Epoch milliseconds. */
    readonly startedAt: number;
    /** The oldest first. The last one is incomplete. */
    readonly buckets: readonly OverviewBucket[];
  };
  /** Whether metrics have ids of tenants, keys or devices as labels. */
  readonly hasIdentities: boolean;
}

export function createMetricsEndpoints(ports: MetricsEndpointPorts): readonly OptionalAdminEndpoint[] {
  return [
    {
      endpoint: metricsEndpoints.readMetrics,
      async respond({ accept }, authority) {
        // A key administers one tenant, and the labels name all tenants.
        if (ports.hasIdentities && authority.kind !== "operator") return operatorOnly;
        const format = chooseFormat(accept);
        const body = formatMetrics(ports.read(), format);
        return { status: 200, headers: { "content-type": expositionTypes[format] }, body };
      },
    },
    {
      endpoint: metricsEndpoints.retrieveOverview,
      respond: async () => jsonResponse(200, { bucketMs: overviewBucketMs, ...ports.overview() }),
    },
  ];
}

const operatorOnly = problemResponse("insufficient_scope", {
  detail: "The metrics name tenants, keys or devices (metrics.labels), so only the operator's token may read them.",
});
