import { randomId, systemClock } from "@letta-environments/platform/node";
import type { HostReporting } from "../../src/host/logged-route.ts";

/** The reporting of host routes in a test: their requests are logged to nobody. */
export const silentReporting: HostReporting = {
  clock: systemClock,
  randomId,
  telemetry: () => undefined,
  addressOf: ({ clientAddress }) => clientAddress,
};
