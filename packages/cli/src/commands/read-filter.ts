import type { ListEnvironmentsInput } from "@letta-environments/client";
import { misuse } from "../command-error.ts";

/** Which devices `--online`, `--source` and `--user` ask for. @throws CommandError naming the option. */
export function readFilter(
  option: (name: string) => string | undefined,
): Pick<ListEnvironmentsInput, "onlineOnly" | "source" | "userId"> {
  const source = option("source");
  if (source !== undefined && source !== "local" && source !== "remote") {
    throw misuse("--source must be local or remote");
  }
  const userId = option("user");
  if (userId !== undefined && userId.length > 256) throw misuse("--user must have at most 256 characters");
  return {
    ...(option("online") !== undefined && { onlineOnly: true }),
    ...(source !== undefined && { source }),
    ...(userId !== undefined && { userId }),
  };
}
