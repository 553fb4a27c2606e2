import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { maxDecisionMs } from "../src/limits.ts";
import { createDecision } from "../src/operations/decision.ts";
import type { PresentCaller } from "../src/routing/router.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { anyone } from "./support/harness.ts";

test("a request whose check was late stays refused, even if its caller has lost permissions with the late answer", async () => {
  const clock = createVirtualClock();
  const answer = Promise.withResolvers<PresentCaller>();
  const limited = { ...anyone, agentIds: [] };
  const decideAgain = vi
    .fn<() => Promise<PresentCaller>>()
    .mockReturnValueOnce(answer.promise)
    .mockResolvedValue({ kind: "same", principal: limited });
  const server = {
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    onClose: () => () => undefined,
    isClosing: () => false,
  };
  const refuse = vi.fn<() => null>(() => null);
  const decide = createDecision(server, "conn-1", anyone, { decideAgain }, refuse);
  await clock.advance(2_000);
  const late = decide();
  await clock.advance(maxDecisionMs);
  expect(await late).toMatchObject({ kind: "refused", response: { status: 503 } });
  answer.resolve({ kind: "changed", principal: limited });
  await clock.advance(2_000);
  expect(await decide()).toBe(await late);
  expect([refuse.mock.calls, decideAgain.mock.calls.length]).toEqual([[], 1]);
});
