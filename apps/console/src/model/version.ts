/** Whether a device should be updated. */
import type { EnvironmentMetadata } from "@letta-environments/client";
import { escapeSpaces, printable } from "@letta-environments/command-line/printable";

/** Whether a version is older than another one. Versions that are not plain numbers are never older. */
export function isOlder(version: string, than: string): boolean {
  const [left, right] = [version, than].map((text) => /^(\d+)\.(\d+)\.(\d+)$/.exec(text)?.slice(1).map(Number));
  if (left === undefined || right === undefined) return false;
  const index = left.findIndex((number, position) => number !== right[position]);
  return index !== -1 && (left[index] ?? 0) < (right[index] ?? 0);
}

/** Advice on the version of a device; `null` if it is new enough, or not known. */
export function updateHint(metadata: EnvironmentMetadata | undefined, tested: string): string | null {
  const { lettaCodeVersion = "", self_update: update } = metadata ?? {};
  if (!isOlder(lettaCodeVersion, tested)) return null;
  if (update?.manual_command !== undefined)
    return `Update to ${tested}: ${printable(escapeSpaces(update.manual_command))}`;
  return `This gateway is tested with ${tested}. Update Letta Code on the device.`;
}
