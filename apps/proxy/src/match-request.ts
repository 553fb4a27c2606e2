import { endpoints, type EndpointMatch, matchEndpoint } from "@letta-environments/schema";

const doubledRegisterPath = `/${endpoints.registerEnvironment.path}`;

/**
 * Finds the endpoint of a request. Where no devices are served here, their endpoints do not exist. A device puts the path
 * behind its base URL as it is, so that a slash at the end of that URL stands twice.
 */
export function matchRequest(method: string, path: string, servesDevices: boolean): EndpointMatch {
  const served = path === doubledRegisterPath ? path.slice(1) : path;
  return matchEndpoint(method, served, (endpoint) => servesDevices || endpoint.audience !== "device");
}
