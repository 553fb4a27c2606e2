import { allowsDevice, type DeviceIdentity, type Principal } from "@letta-environments/schema";

/**
 * Returns the value by which a request is counted in limits per device; `null` for one that names no device. It is the device of the connection or of
 * the path or, if that is unknown so far, the connection. A key without access to the device, or whose access is not known yet, has its own counter,
 * so it cannot use up another key's limit.
 *
 * @param environment the row of the connection, if it was looked up
 */
export function countedDevice(
  principal: Principal,
  { deviceId, connectionId }: Readonly<Record<string, string>>,
  environment?: DeviceIdentity,
): string | null {
  const name = environment?.deviceId ?? deviceId ?? connectionId ?? null;
  if (name === null) return null;
  // Without the row, only a list of ids can decide. The name is unknown, so only the pattern `*` matches.
  const known = environment ?? { deviceId: deviceId ?? "", connectionName: "" };
  // No id has a space.
  return allowsDevice(principal, known) ? name : `${name} ${principal.keyId}`;
}
