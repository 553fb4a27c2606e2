import { randomId, systemClock } from "@letta-environments/platform/node";
import type { HostReporting } from "../../src/host/routes.ts";

/** The reporting of host routes in a test, which discards request logs. */
export const silentReporting: HostReporting = {
  clock: systemClock,
  randomId,
  telemetry: () => undefined,
  addressOf: ({ clientAddress }) => clientAddress,
};
