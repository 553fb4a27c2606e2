import { type EndpointMatch, matchEndpoint, problemResponse } from "@letta-environments/schema";

/** Finds the endpoint of a request. Where no devices are served here, their endpoints do not exist. */
export function matchRequest(method: string, path: string, servesDevices: boolean): EndpointMatch {
  const match = matchEndpoint(method, path);
  if (match.kind === "matched" && match.endpoint.audience === "device" && !servesDevices) {
    return { kind: "refused", response: problemResponse("endpoint_not_found") };
  }
  return match;
}
