import { identifierRule, isIdentifier, reservedIdentifiers } from "./is-identifier.ts";
import type { PlainResponse } from "./plain-http.ts";
import { problemResponse } from "./problem.ts";

/** What routing looks at. */
export interface Routable {
  readonly method: string;
  /** Path template; `{name}` stands for one id. */
  readonly path: string;
}

/** What a method and a path mean in a table of endpoints. */
export type RouteMatch<Known extends Routable> =
  | { readonly kind: "matched"; readonly endpoint: Known; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Finds the endpoint for a method and a raw pathname. */
export type MatchRoute<Known extends Routable> = (
  method: string,
  path: string,
  /** Leaves endpoints out, as if they were not in the table. */
  isServed?: (endpoint: Known) => boolean,
) => RouteMatch<Known>;

interface Route<Known> {
  readonly endpoint: Known;
  /** Literal segments as strings, ids as `{ param }`. */
  readonly segments: readonly (string | { readonly param: string })[];
}

/**
 * Creates a {@link MatchRoute} for a table. Segments are compared before anything is decoded; an id is decoded exactly once and
 * must pass the allowlist, so no encoding reaches another path. HEAD matches GET.
 *
 * Refusals: 404 `endpoint_not_found`, 405 `method_not_allowed` with `Allow`, 400 `invalid_id` naming the member.
 */
export function createEndpointMatcher<Known extends Routable>(table: readonly Known[]): MatchRoute<Known> {
  const routes = table.map((endpoint): Route<Known> => ({
    endpoint,
    segments: splitPath(endpoint.path).map((segment) =>
      segment.startsWith("{") ? { param: segment.slice(1, -1) } : segment,
    ),
  }));

  return (method, path, isServed = () => true) => {
    const segments = splitPath(path);
    const candidates = routes.filter((route) => isServed(route.endpoint) && fits(route, segments));
    if (candidates.length === 0) return refuse(problemResponse("endpoint_not_found"));
    const wanted = method === "HEAD" ? "GET" : method;
    const route = candidates.find((candidate) => candidate.endpoint.method === wanted);
    if (route === undefined) return refuse(methodNotAllowed(candidates));
    const params: Record<string, string> = {};
    for (const [index, segment] of route.segments.entries()) {
      if (typeof segment === "string") continue;
      const value = decodeSegment(segments[index] ?? "");
      if (value === null || !isIdentifier(value)) {
        const issues = [{ member: segment.param, rule: `must be ${identifierRule}` }];
        return refuse(problemResponse("invalid_id", { issues }));
      }
      params[segment.param] = value;
    }
    return { kind: "matched", endpoint: route.endpoint, params };
  };
}

function splitPath(path: string): string[] {
  return path.split("/").slice(1);
}

function fits({ segments: expectedSegments }: Route<unknown>, segments: readonly string[]): boolean {
  return (
    expectedSegments.length === segments.length &&
    expectedSegments.every((expected, index) => {
      const segment = segments[index] ?? "";
      // An empty or reserved segment is never an id: `/v1/environments/` is not the list and not a device.
      return typeof expected === "string" ? segment === expected : segment !== "" && !reservedIdentifiers.has(segment);
    })
  );
}

function decodeSegment(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

function methodNotAllowed(candidates: readonly Route<Routable>[]): PlainResponse {
  const allow = candidates.flatMap(({ endpoint }) => (endpoint.method === "GET" ? ["GET", "HEAD"] : [endpoint.method]));
  const detail = `Use ${allow.join(" or ")}.`;
  return problemResponse("method_not_allowed", { detail, headers: { allow: allow.join(", ") } });
}

function refuse(response: PlainResponse): { readonly kind: "refused"; readonly response: PlainResponse } {
  return { kind: "refused", response };
}
