/** The device behind a remote server that ran a conversation last. The gateway shows it only to principals that may use the device. */
import {
  allowsDevice,
  endpoints,
  jsonResponse,
  type PlainResponse,
  presentMetadata,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { parseJsonObject } from "../../lib/json.ts";
import { isLimitedToDevices, readDevice } from "../environments.ts";
import type { ReadRemote } from "../remote-call.ts";

/**
 * Returns the response for the caller. A device out of reach looks like a conversation that has never run. Where tags or names decide, the
 * device itself is read.
 */
export async function presentLastRuntime(
  principal: Principal,
  response: PlainResponse,
  read: ReadRemote,
): Promise<PlainResponse> {
  if (response.status !== endpoints.retrieveLastRuntime.successStatus) return response;
  const runtime = parseJsonObject(response.body);
  const { deviceId, metadata } = runtime ?? {};
  if (typeof deviceId !== "string") return problemResponse("upstream_invalid_response");
  if (isLimitedToDevices(principal)) {
    const device = await readDevice(deviceId, read);
    if (device.kind === "refused") return device.response;
    if (device.row === null || !allowsDevice(principal, device.row)) return problemResponse("environment_not_found");
  }
  const shown = presentMetadata(principal, metadata);
  return shown === metadata ? response : jsonResponse(response.status, { ...runtime, metadata: shown });
}
