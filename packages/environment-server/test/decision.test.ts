import type { Clock } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { problemResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { maxDecisionMs } from "../src/limits.ts";
import { createDecision } from "../src/operations/decision.ts";
import type { PresentCaller } from "../src/routing/router.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { anyone } from "./support/harness.ts";

const serverAt = (clock: Clock) => ({
  store: createSqliteEnvironmentStore(openSqlite(":memory:")),
  clock,
  onClose: () => () => undefined,
  isClosing: () => false,
});

test.each([
  ["input", () => problemResponse("agent_not_allowed"), 403],
  ["device", () => null, 404],
])(
  "a refusal of the %s with changed permissions counts for a second, without another question",
  async (_of, refuse, status) => {
    const clock = createVirtualClock();
    const changed = { kind: "changed", principal: anyone } as const;
    const decideAgain = vi.fn<() => Promise<PresentCaller>>().mockResolvedValue(changed);
    const decide = createDecision(serverAt(clock), "conn-1", anyone, { decideAgain }, refuse);
    await clock.advance(1_000);
    const first = await decide();
    await clock.advance(999);
    expect([first, await decide()]).toMatchObject(Array(2).fill({ kind: "refused", response: { status } }));
    expect(decideAgain).toHaveBeenCalledOnce();
    await clock.advance(1);
    await decide();
    expect(decideAgain).toHaveBeenCalledTimes(2);
  },
);

test("a request whose check was late stays refused, even if its caller has lost permissions with the late answer", async () => {
  const clock = createVirtualClock();
  const answer = Promise.withResolvers<PresentCaller>();
  const limited = { ...anyone, agentIds: [] };
  const decideAgain = vi
    .fn<() => Promise<PresentCaller>>()
    .mockReturnValueOnce(answer.promise)
    .mockResolvedValue({ kind: "same", principal: limited });
  const refuse = vi.fn<() => null>(() => null);
  const decide = createDecision(serverAt(clock), "conn-1", anyone, { decideAgain }, refuse);
  await clock.advance(2_000);
  const late = decide();
  await clock.advance(maxDecisionMs);
  expect(await late).toMatchObject({ kind: "refused", response: { status: 503 } });
  answer.resolve({ kind: "changed", principal: limited });
  await clock.advance(2_000);
  expect(await decide()).toBe(await late);
  expect([refuse.mock.calls, decideAgain.mock.calls.length]).toEqual([[], 1]);
});
