/** Many sends through random TCP faults, on every runtime. `pnpm soak` sends more: the variable FAULTED_SENDS. */
import process from "node:process";
import { describe, expect, test } from "vitest";
import { createServerLauncher } from "../runtimes/server-launcher.ts";
import { startGatewayUnderFaults, upstreamKinds } from "./gateway-under-faults.ts";
import { sendThroughFaults } from "./random-faults.ts";

const count = Number(process.env["FAULTED_SENDS"] ?? 150);

describe.each(["node", "bun", "deno"] as const)("on %s", (runtime) => {
  test.each(upstreamKinds)(
    "with %s upstream, random faults on both hops deliver no message twice, and every send has a typed outcome",
    async (kind) => {
      const gateway = await startGatewayUnderFaults(createServerLauncher(runtime), kind);
      const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
      const { counts, faults, contradictions } = await sendThroughFaults(gateway, count, seed);
      await gateway.stop();
      process.stdout.write(`${runtime}, ${kind}, seed ${seed}: ${JSON.stringify({ ...counts, faults })}\n`);
      expect(contradictions).toEqual([]);
      expect(counts).toMatchObject({ sends: count, doubled: 0, untyped: 0 });
      expect(counts.delivered).toBeGreaterThan(count * 0.8);
      expect(faults).toBeGreaterThan(count * 0.1);
    },
    60_000 + count * 200,
  );
});
