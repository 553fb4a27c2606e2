import { now } from "./adapters/time.ts";

/**
 * Epoch milliseconds by the server's clock, as far as its answer tells (`Date`, which a browser may hide): whether a heartbeat is
 * recent must not depend on this machine's clock being right.
 */
export const serverTimeMs = ({ headers }: Response): number => Date.parse(headers.get("date") as string) || now();
