/** Parts of the application suite once more, on a gateway that answers plain reads in front of the HTTP server (`lane`). */
import { describe, vi } from "vitest";
import { describeAuthentication } from "./sections/authentication.ts";
import { describeCaching } from "./sections/caching.ts";
import { describeDeviceSockets } from "./sections/device-sockets.ts";
import { describeErrors } from "./sections/errors.ts";
import { describeHostileRequests } from "./sections/hostile.ts";
import { describeLimits, fewRequests } from "./sections/limits.ts";
import { describeHalfClosedCallers, describeSlowCallers } from "./sections/slow-callers.ts";
import { describeStopping } from "./sections/stopping.ts";
import { describeWebPages, listedOrigin } from "./sections/web-pages.ts";
import { createServerLauncher } from "./server-launcher.ts";
import { useGateway } from "./use-gateway.ts";
import type { RuntimeLauncher } from "./launcher.ts";

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Starts gateways with a lane. Behind it Bun has the parser of Node and timeouts of the lane, and so the responses of Node. */
function withLane(launcher: RuntimeLauncher): RuntimeLauncher {
  const name = launcher.name === "bun" ? "node" : launcher.name;
  return {
    ...launcher,
    name,
    launch: (request) => launcher.launch({ ...request, config: { ...request.config, lane: true } }),
  };
}

for (const runtime of ["node", "bun", "deno"] as const) {
  const launcher = withLane(createServerLauncher(runtime));
  describe(`behind a lane on ${runtime}`, () => {
    const gateway = useGateway(launcher, { cors: { origins: [listedOrigin] } });
    describeAuthentication(gateway);
    describeCaching(gateway);
    describeErrors(gateway);
    describeWebPages(gateway);
    describeHostileRequests(launcher, gateway);
    describeSlowCallers(launcher, gateway);
    describeHalfClosedCallers(gateway);
    describeStopping(launcher);
    describeDeviceSockets(launcher);
    describe("with limits", () => {
      describeLimits(useGateway(launcher, fewRequests));
    });
  });
}
