/**
 * Finds the series of a finished request without building a key: by method, operation and status in nested tables. A cache hit costs two
 * look-ups and three additions.
 */
import { endpoints } from "@letta-environments/schema";
import { auditSearchEndpoint } from "../admin/audit-search.ts";
import { adminEndpoints, explainPath } from "../admin/endpoints.ts";
import { sessionPath } from "../console/cookie.ts";
import { rateLimitPath } from "../limits/endpoint.ts";
import { hostOperations } from "../telemetry.ts";
import { metrics } from "./definitions.ts";
import { metricsEndpoints } from "./endpoints.ts";
import { type MetricTable, otherValue, type SeriesIndex } from "./table.ts";

/** The methods that are label values. A parser accepts others too. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Returns the label value of a method. */
export function methodLabel(method: string): string {
  return methods.has(method) ? method : otherValue;
}

/** Returns the label value of a status. An upstream may send any number. */
export function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= firstStatus && status <= lastStatus ? String(status) : otherValue;
}

const firstStatus = 100;
const lastStatus = 599;
/** A slot for each status, and one for the others. */
const slots = lastStatus - firstStatus + 2;
const unknown = -1;

/** The facts that decide the series of a request. */
export interface FinishedRequest {
  readonly method: string;
  /** `null` when no endpoint matched. */
  readonly operation: string | null;
  readonly status: number;
  /** Absent or 0: the request did not wait for the end of a turn. */
  readonly waitSeconds?: number;
}

/** Creates a function that returns the series of a request in `http.server.request.duration`. */
export function createRequestSeries(table: MetricTable): (request: FinishedRequest) => SeriesIndex {
  const known = new Map<string, Map<string, Int32Array>>();

  function slotsOf(method: string, route: string): Int32Array {
    const byRoute = known.get(method) ?? new Map<string, Int32Array>();
    known.set(method, byRoute);
    const found = byRoute.get(route) ?? new Int32Array(slots).fill(unknown);
    byRoute.set(route, found);
    return found;
  }

  return ({ method, operation, status, waitSeconds = 0 }) => {
    // The operation is one of a fixed set, or none.
    const name = waitSeconds === 0 ? (operation ?? "") : `${operation} waited`;
    const label = methodLabel(method);
    const found = known.get(label)?.get(name) ?? slotsOf(label, name);
    const slot = status >= firstStatus && status <= lastStatus ? status - firstStatus : slots - 1;
    const index = found[slot] ?? unknown;
    if (index !== unknown) return index;
    const route = operation === null ? "" : (routes.get(operation) ?? otherValue);
    return (found[slot] = table.series(metrics.requests, [
      label,
      route,
      statusLabel(status),
      waitSeconds === 0 ? "" : "true",
    ]));
  };
}

/** The path templates of all operations. */
const routes: ReadonlyMap<string, string> = new Map([
  ...[...Object.values(endpoints), ...adminEndpoints, ...Object.values(metricsEndpoints), auditSearchEndpoint].map(
    ({ operation, path }): [string, string] => [operation, path],
  ),
  ["explainRequest", explainPath],
  ["retrieveRateLimit", rateLimitPath],
  ...["signIn", "retrieveSession", "signOut"].map((operation): [string, string] => [operation, sessionPath]),
  ...Object.entries(hostOperations),
]);
