/** TCP faults on both hops of the built gateway, on every runtime. `pnpm soak` runs every case: with the variable FULL_MATRIX. */
import process from "node:process";
import { faultEffects } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createServerLauncher } from "../runtimes/server-launcher.ts";
import { createWorkerdLauncher } from "../runtimes/workerd-launcher.ts";
import { type GatewayUnderFaults, type Hop, startGatewayUnderFaults, upstreamKinds } from "./gateway-under-faults.ts";
import { faultCases, groupCases, operations, requestOf, runCases, violationsOf } from "./matrix.ts";
import { call, codeOf } from "./raw-caller.ts";

const launchers = [
  createServerLauncher("node"),
  createServerLauncher("bun"),
  createServerLauncher("deno"),
  createWorkerdLauncher(),
];

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

    // Runtimes differ in what they do with a connection that was used before.
    const isFull = name === "node" || process.env["FULL_MATRIX"] !== undefined;
    const connections = isFull ? (["new", "reused"] as const) : (["reused"] as const);
    const hops: readonly Hop[] = kind === "remote" ? ["caller", "upstream"] : ["caller"];
    const groups = hops.flatMap((hop) =>
      faultEffects.flatMap((effect) => connections.map((connection) => [hop, effect, connection] as const)),
    );

    test.each(groups)(
      "a fault on the %s hop with the effect %s, on %s connections, delivers at most once, has a typed outcome and leaves no lasting effect",
      async (hop, effect, connection) => {
        const isReused = connection === "reused";
        const cases = faultCases(hop).filter((fault) => fault.effect === effect && fault.isReused === isReused);
        const struck: (boolean | null)[] = [];
        const broken: string[] = [];
        for (const group of groupCases(cases)) {
          for (const [fault, result] of await runCases(gateway, group)) {
            struck.push(result.struckReused);
            broken.push(...violationsOf(fault, result).map((text) => `${fault.id}: ${text}`));
          }
          await expectRecovery(gateway, String(group[0]?.id));
        }
        expect(broken).toEqual([]);
        expect(struck).not.toContain(null);
        // A runtime may open a new connection although it has an idle one.
        expect(struck).toContain(isReused);
      },
      60_000,
    );

    test("faults leave no connection, handle or running send behind", async () => {
      await gateway.callerProxy.closeConnections();
      await gateway.upstreamProxy?.closeConnections();
      // The gateway learns of the end of its connections a little later.
      await expect.poll(() => remainingSends(gateway)).toEqual([1_000]);
      if (handles !== null) await expect.poll(() => gateway.countHandles() ?? 0).toBeLessThanOrEqual(handles + 2);
      await expect.poll(() => gateway.callerProxy.connectionCount).toBe(0);
    });
  });
});

/** How many more sends may run at once, by policy. */
async function remainingSends(gateway: GatewayUnderFaults): Promise<readonly number[]> {
  const limits = (await gateway.read("/v1/ratelimit?operation=sendMessage")) as {
    readonly policies: readonly { readonly remaining: number }[];
  };
  return limits.policies.map(({ remaining }) => remaining);
}

/** Longest wait for a working request on a busy machine, in milliseconds. */
const recoveryMs = 10_000;

/** The next request of each kind works; on a busy machine, a later one. */
async function expectRecovery(gateway: GatewayUnderFaults, when: string): Promise<void> {
  gateway.chooseFault = () => null;
  for (const operation of operations) {
    const endMs = performance.now() + recoveryMs;
    // Each attempt is its own message: one whose outcome is not known stays so.
    let attempts = 0;
    const attempt = async (): Promise<string | null> => {
      const request = requestOf(gateway, operation, `after-${when}-${(attempts += 1)}`);
      return codeOf(await call(gateway.callerProxy.port, [request], recoveryMs));
    };
    let code = await attempt();
    while (code !== "success" && performance.now() < endMs) code = await attempt();
    expect([operation, code]).toEqual([operation, "success"]);
  }
}
