import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { DeviceHub } from "../socket/hub.ts";
import type { ThrottledDevice } from "../socket/throttle.ts";

/**
 * Returns 429 `device_throttled` while a device is refused because it exceeded limits, else `null`. A device that was connected
 * before waits as long as `Retry-After` says; it never gives up.
 */
export function throttledResponse(hub: Pick<DeviceHub, "throttledMs">, device: ThrottledDevice): PlainResponse | null {
  const remainingMs = hub.throttledMs(device);
  if (remainingMs === 0) return null;
  return problemResponse("device_throttled", { retryAfterSeconds: Math.ceil(remainingMs / 1_000) });
}
