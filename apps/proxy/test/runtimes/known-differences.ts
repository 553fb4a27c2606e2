import type { HostileAnswer } from "./hostile-requests.ts";
import type { RuntimeName } from "./launcher.ts";

/** A hostile request that some runtimes answer otherwise than the others. */
export interface KnownDifference {
  /** Its name in `hostile-requests.ts`. */
  readonly request: string;
  readonly runtimes: readonly RuntimeName[];
  readonly answer: HostileAnswer;
  /** Why, and why it does no harm. */
  readonly reason: string;
}

/** Every difference between the runtimes; what is not here is the same on all of them. */
export const knownDifferences: readonly KnownDifference[] = [];
