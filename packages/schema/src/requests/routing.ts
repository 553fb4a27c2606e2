/**
 * Conversion between URL paths and endpoints. Matching compares segments before it decodes anything. Each id is decoded once
 * and must pass the allowlist of {@link isIdentifier}, so no encoding of an id reaches another path. A reference, which its sender
 * chose, may have any characters: it is only compared with stored ones.
 */
import { type Endpoint, endpoints, type KnownEndpoint } from "../endpoints/endpoints.ts";
import { identifierRule, isIdentifier, isReference, referenceRule, reservedIdentifiers } from "../base/identifier.ts";
import { type PlainResponse, refused, type Refused } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";

/** The members of an endpoint that routing uses. */
export interface Routable {
  readonly method: string;
  /** Path template; `{name}` is replaced by one id. */
  readonly path: string;
  /** The ids that are references; see {@link isReference}. */
  readonly references?: readonly string[];
}

/** The endpoint for a method and a path, or the response that refuses the request. */
export type RouteMatch<Known extends Routable> =
  | { readonly kind: "matched"; readonly endpoint: Known; readonly params: Readonly<Record<string, string>> }
  | Refused;

/** Finds the endpoint for a method and a raw pathname. */
export type MatchRoute<Known extends Routable> = (
  method: string,
  path: string,
  /** Returns whether an endpoint is served here; other endpoints are treated as unknown. */
  isServed?: (endpoint: Known) => boolean,
) => RouteMatch<Known>;

/** A {@link RouteMatch} in the table of the API. */
export type EndpointMatch = RouteMatch<KnownEndpoint>;

/** Finds the endpoint of the API for a method and a raw pathname, see {@link createEndpointMatcher}. */
export const matchEndpoint: MatchRoute<KnownEndpoint> = /* @__PURE__ */ createKnownMatcher();

// Bundlers treat a spread at the top level as a side effect, and would keep the whole table in every bundle.
function createKnownMatcher(): MatchRoute<KnownEndpoint> {
  return createEndpointMatcher(Object.values<KnownEndpoint>({ ...endpoints }));
}

interface Param {
  readonly param: string;
  readonly isReference: boolean;
}

interface Route<Known> {
  readonly endpoint: Known;
  /** Literal segments as strings, ids as `{ param }`. */
  readonly segments: readonly (string | Param)[];
}

/**
 * Creates a {@link MatchRoute} for a table of endpoints. HEAD matches GET.
 *
 * Refusals: 404 `endpoint_not_found`, 405 `method_not_allowed` with `Allow`, 400 `invalid_id` naming the member.
 */
export function createEndpointMatcher<Known extends Routable>(table: readonly Known[]): MatchRoute<Known> {
  const routesByLength = new Map<number, Route<Known>[]>();
  for (const endpoint of table) {
    const segments = splitPath(endpoint.path).map((segment) =>
      segment.startsWith("{") ? toParam(endpoint, segment.slice(1, -1)) : segment,
    );
    const routes = routesByLength.get(segments.length) ?? [];
    routesByLength.set(segments.length, [...routes, { endpoint, segments }]);
  }

  return (method, path, isServed = () => true) => {
    const segments = splitPath(path);
    const routes = routesByLength.get(segments.length) ?? [];
    const candidates = routes.filter((route) => isServed(route.endpoint) && matchesSegments(route, segments));
    if (candidates.length === 0) return refused(problemResponse("endpoint_not_found"));
    const requested = method === "HEAD" ? "GET" : method;
    const route = candidates.find((candidate) => candidate.endpoint.method === requested);
    if (route === undefined) return refused(methodNotAllowed(candidates));
    const params: Record<string, string> = {};
    for (const [index, segment] of route.segments.entries()) {
      if (typeof segment === "string") continue;
      const value = decodeSegment(segments[index] ?? "");
      if (value === null || !(segment.isReference ? isReference(value) : isIdentifier(value))) {
        const rule = `must be ${segment.isReference ? referenceRule : identifierRule}`;
        return refused(problemResponse("invalid_id", { issues: [{ member: segment.param, rule }] }));
      }
      params[segment.param] = value;
    }
    return { kind: "matched", endpoint: route.endpoint, params };
  };
}

function toParam({ references }: Routable, param: string): Param {
  return { param, isReference: references?.includes(param) === true };
}

function splitPath(path: string): string[] {
  return path.split("/").slice(1);
}

function matchesSegments({ segments: expectedSegments }: Route<unknown>, segments: readonly string[]): boolean {
  return expectedSegments.every((expected, index) => {
    const segment = segments[index] ?? "";
    // An empty or reserved segment is never an id: `/v1/environments/` is neither the list nor a device.
    if (typeof expected === "string") return segment === expected;
    return segment !== "" && (expected.isReference || !reservedIdentifiers.has(segment));
  });
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

/**
 * Fills the path template of an endpoint. No id contains a slash, a percent sign or a dot segment unless it is encoded, so a URL parser
 * does not change the result and no id leads to another path.
 *
 * @throws RangeError if an id is missing, or not an identifier or reference.
 */
export function buildPath(
  endpoint: Pick<Endpoint, "path" | "params" | "references">,
  params: Readonly<Record<string, string>> = {},
): string {
  let path = endpoint.path;
  for (const name of endpoint.params) {
    const value = params[name];
    const isRef = endpoint.references?.includes(name) === true;
    if (value === undefined || !(isRef ? isReference(value) : isIdentifier(value)))
      throw new RangeError(`${name} must be ${isRef ? referenceRule : identifierRule}`);
    path = path.replace(`{${name}}`, () => encodeURIComponent(value));
  }
  return path;
}
