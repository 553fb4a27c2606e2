import { createEndpointMatcher, type MatchRoute, type RouteMatch } from "./create-endpoint-matcher.ts";
import { endpoints, type Endpoints } from "./endpoints.ts";

/** An endpoint of the table. */
export type KnownEndpoint = Endpoints[keyof Endpoints];

/** What a method and a path mean. */
export type EndpointMatch = RouteMatch<KnownEndpoint>;

/** Finds the endpoint of the API for a method and a raw pathname, as {@link createEndpointMatcher} tells. */
export const matchEndpoint: MatchRoute<KnownEndpoint> = createEndpointMatcher(
  Object.values<KnownEndpoint>({ ...endpoints }),
);
