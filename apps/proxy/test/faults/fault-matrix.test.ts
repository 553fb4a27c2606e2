/** TCP faults on both hops of the built gateway, on every runtime. */
import { faultEffects } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createServerLauncher } from "../runtimes/server-launcher.ts";
import { type GatewayUnderFaults, type Hop, startGatewayUnderFaults, upstreamKinds } from "./gateway-under-faults.ts";
import { faultCases, requestOf, runCases, violationsOf } from "./matrix.ts";
import { call, codeOf } from "./raw-caller.ts";

const launchers = [createServerLauncher("node"), createServerLauncher("bun"), createServerLauncher("deno")];

describe.each(launchers.map((launcher) => [launcher.name, launcher] as const))("on %s", (name, launcher) => {
  const kinds = upstreamKinds.filter((kind) => kind === "remote" || name !== "workerd");

  describe.each(kinds)("with %s upstream", (kind) => {
    let gateway: GatewayUnderFaults;
    let handles: number | null;
    beforeAll(async () => {
      gateway = await startGatewayUnderFaults(launcher, kind);
      await expectRecovery(gateway, "start");
      handles = gateway.countHandles();
    }, 60_000);
    afterAll(() => gateway.stop(), 60_000);

    const hops: readonly Hop[] = kind === "remote" ? ["caller", "upstream"] : ["caller"];
    const groups = hops.flatMap((hop) =>
      faultEffects.flatMap((effect) =>
        [false, true].map((isReused) => [hop, effect, isReused ? "reused" : "new"] as const),
      ),
    );

    test.each(groups)(
      "a fault on the hop of the %s with the effect %s, on %s connections, delivers at most once, has a typed outcome and does not last",
      async (hop, effect, connection) => {
        const isReused = connection === "reused";
        const cases = faultCases(hop).filter((fault) => fault.effect === effect && fault.isReused === isReused);
        const results = await runCases(gateway, cases);
        const broken = cases.flatMap((fault) => {
          const result = results.get(fault.id);
          return result === undefined
            ? ["no result"]
            : violationsOf(fault, result).map((text) => `${fault.id}: ${text}`);
        });
        expect(broken).toEqual([]);
        // A runtime may open a new connection although it has an idle one.
        expect([...results.values()].map(({ struckReused }) => struckReused)).toContain(isReused);
        await expectRecovery(gateway, `${hop}-${effect}-${connection}`);
      },
      30_000,
    );

    test("faults leave no connection, handle or running send behind", async () => {
      await gateway.callerProxy.closeConnections();
      await gateway.upstreamProxy?.closeConnections();
      const limits = (await gateway.read("/v1/ratelimit?operation=sendMessage")) as {
        readonly policies: readonly { readonly remaining: number }[];
      };
      expect(limits.policies.map(({ remaining }) => remaining)).toEqual([1_000]);
      const left = gateway.countHandles();
      if (handles !== null && left !== null) expect(left).toBeLessThanOrEqual(handles + 2);
      expect(gateway.callerProxy.connectionCount).toBe(0);
    });
  });
});

/** The next request of each kind works. */
async function expectRecovery(gateway: GatewayUnderFaults, when: string): Promise<void> {
  gateway.chooseFault = () => null;
  for (const operation of ["list", "get", "send"] as const) {
    const outcome = await call(gateway.callerProxy.port, [requestOf(gateway, operation, `after-${when}`)], 5_000);
    expect([operation, codeOf(outcome)]).toEqual([operation, "success"]);
  }
}
