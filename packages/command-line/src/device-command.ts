/** The command that enrols an invited device, as `letta-proxy devices invite` and the console show it. */
import { quoteForShell } from "./shell-word.ts";

/** The command that starts a device with Letta Code as its vendor publishes it, for a POSIX shell, in one line. */
export function formatDeviceCommand({
  baseUrl,
  key,
  name,
  version,
}: {
  /** Where devices reach the gateway. */
  readonly baseUrl: string;
  readonly key: string;
  /** `null`: the host name of the device. */
  readonly name: string | null;
  /** Of Letta Code. */
  readonly version: string;
}): string {
  return [
    `LETTA_BASE_URL=${quoteForShell(baseUrl)}`,
    `LETTA_API_KEY=${quoteForShell(key)}`,
    // Letta Code requires it for all servers except the vendor's.
    "IGNORE_SELF_HOSTED_LISTENER_ERROR=1",
    `npx -y @letta-ai/letta-code@${version} server --backend local`,
    `--computer-name ${name === null ? '"$(hostname)"' : quoteForShell(name)}`,
  ].join(" ");
}
