import {
  type DecodedRequest,
  type EndpointMatch,
  type MatchedEndpoint,
  toDecodedRequest,
} from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import type { BodyOwner } from "./body-memory.ts";
import { type GatewayRequest, isRead, targetOf } from "./gateway-request.ts";
import {
  type BodyHolder,
  type BodyHandling,
  matchRequest,
  type ServedEndpoints,
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
  | Extract<EndpointMatch, { readonly kind: "refused" }>;

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
