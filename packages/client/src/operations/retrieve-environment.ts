import { buildPath, endpoints, type Environment } from "@letta-environments/schema";
import type { RequestOptions } from "../settings.ts";
import type { Transport } from "../transport.ts";
import type { TransportRequest } from "../transport-request.ts";
import { checkIdentifier } from "./check-identifier.ts";
import { readAnswer } from "./read-answer.ts";

/** Reads one environment by its `deviceId`. Rejects with a `LettaEnvironmentsError`. */
export async function retrieveEnvironment(
  transport: Transport,
  deviceId: string,
  options?: RequestOptions,
): Promise<Environment> {
  checkIdentifier("deviceId", deviceId);
  const endpoint = endpoints.retrieveEnvironment;
  const request: TransportRequest = {
    method: endpoint.method,
    path: buildPath(endpoint, { deviceId }),
    query: {},
    body: null,
    repeatSafety: "read",
    clientMessageIds: [],
  };
  return readAnswer(endpoint, request, await transport.send(request, options));
}
