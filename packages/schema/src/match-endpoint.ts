import { createEndpointMatcher, type MatchRoute, type RouteMatch } from "./create-endpoint-matcher.ts";
import { endpoints, type KnownEndpoint } from "./endpoints.ts";

/** What a method and a path mean. */
export type EndpointMatch = RouteMatch<KnownEndpoint>;

/** Finds the endpoint of the API for a method and a raw pathname, as {@link createEndpointMatcher} tells. */
export const matchEndpoint: MatchRoute<KnownEndpoint> = /* @__PURE__ */ createKnownMatcher();

// A function, since a bundler takes a spread for a side effect, and would keep the whole table in every bundle.
function createKnownMatcher(): MatchRoute<KnownEndpoint> {
  return createEndpointMatcher(Object.values<KnownEndpoint>({ ...endpoints }));
}
