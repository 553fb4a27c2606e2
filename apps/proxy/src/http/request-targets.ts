/**
 * From the target of a request to its endpoint and valid input, with the endpoints that this gateway serves. Bodies are validated in
 * `validate-request.ts`.
 */
import {
  type DecodedRequest,
  type EndpointMatch,
  endpoints,
  matchEndpoint,
  type MatchedEndpoint,
  type Operation,
  problemResponse,
  refused,
  type Refused,
  toDecodedRequest,
} from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import type { BodyOwner } from "./body-memory.ts";
import { type GatewayRequest, isRead, targetOf } from "./gateway-request.ts";
import {
  type BodyHolder,
  type BodyHandling,
  validateRequest,
  type Validation,
  type ValidRequest,
} from "./validate-request.ts";

/** Request targets that are remembered, each of at most about 1 KB. */
const maxTargets = 10_000;
const maxTargetLength = 512;

/** A match, with the validated input of a read whose target is remembered. */
export type TargetMatch =
  | (Extract<EndpointMatch, { readonly kind: "matched" }> & { readonly knownInput?: ValidRequest })
  | Refused;

/**
 * Finds the endpoint of a request and validates its input. The endpoint, the ids and the query of a read follow from its target alone and
 * are the same for every caller, so they are remembered by the target as it was on the wire.
 */
export interface RequestTargets {
  match(request: GatewayRequest): TargetMatch;
  /** Validates the query and the body. A read that passes is remembered, so call it for authorised requests only. */
  validate(
    request: GatewayRequest,
    matched: MatchedEndpoint & { readonly owner: BodyOwner; readonly holder: BodyHolder },
    knownInput?: ValidRequest,
  ): MaybePromise<Validation<DecodedRequest>>;
}

/** The endpoints that a gateway serves in addition to those of the vendor's API for callers. */
export interface ServedEndpoints {
  readonly devices: boolean;
  readonly extensions: boolean | "not_on_workers";
}

/** Creates {@link RequestTargets}. `budget` counts bodies; `null`: they are not counted. */
export function createRequestTargets(
  serves: ServedEndpoints,
  { budget, isForwarded }: Pick<BodyHandling["memory"], "budget"> & Pick<BodyHandling, "isForwarded">,
): RequestTargets {
  const known = createBoundedMap<TargetMatch>(maxTargets);
  return {
    match(request) {
      const { method, path } = request;
      return (isRead(method) && known.get(targetOf(request))) || matchRequest(method, path, serves);
    },
    validate(request, { endpoint, params, owner, holder }, knownInput) {
      if (knownInput !== undefined) return { kind: "valid", input: knownInput };
      const use = { memory: { budget, owner }, holder, isForwarded };
      return mapMaybe(validateRequest(request, endpoint, use), (validation) => {
        if (validation.kind === "refused") return validation;
        const decoded = toDecodedRequest({ endpoint, params }, validation.input.decoded);
        const input = { ...validation.input, decoded };
        if (isRead(request.method)) {
          const target = targetOf(request);
          if (target.length <= maxTargetLength)
            known.set(target, { kind: "matched", endpoint, params, knownInput: input });
        }
        return { kind: "valid", input };
      });
    },
  };
}

const doubledRegisterPath = `/${endpoints.registerEnvironment.path}`;

const notOffered = problemResponse("endpoint_not_found", { detail: "This gateway does not offer this operation." });

const notOnWorkers = problemResponse("endpoint_not_found", {
  detail:
    "This gateway does not offer this operation, because it runs on Cloudflare Workers. " +
    "A gateway on Node.js, Bun or Deno offers it.",
});

/**
 * Finds the endpoint of a request. Without an embedded server the endpoints for devices do not exist. A device appends the
 * path to its base URL unchanged, so a base URL with a trailing slash gives two slashes.
 */
function matchRequest(method: string, path: string, serves: ServedEndpoints): EndpointMatch {
  const served = path === doubledRegisterPath ? path.slice(1) : path;
  const match = matchEndpoint(method, served, (endpoint) => serves.devices || endpoint.audience !== "device");
  if (match.kind === "refused" || match.endpoint.extension !== true) return match;
  if (serves.extensions === "not_on_workers") return refused(notOnWorkers);
  if (!serves.extensions) return refused(notOffered);
  const isOffered = serves.devices || !viewerOperations.has(match.endpoint.operation);
  return isOffered ? match : refused(viewersNotOffered);
}

const viewerOperations: ReadonlySet<Operation> = new Set<Operation>(["openViewerSocket", "createViewerTicket"]);

const viewersNotOffered = problemResponse("endpoint_not_found", {
  detail: "This gateway is in front of a remote environment server. Viewer sockets need the embedded one.",
});
