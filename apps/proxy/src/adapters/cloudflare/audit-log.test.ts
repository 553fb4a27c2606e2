import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDurableAuditLog } from "./audit-log.ts";

test("an entry that the object does not confirm within five seconds counts as not recorded", async () => {
  const clock = createVirtualClock();
  const log = createDurableAuditLog(() => ({ append: () => new Promise(() => undefined) }), clock);
  let failure: unknown = null;
  void log.append({} as never).catch((cause: unknown) => (failure = cause));
  await clock.advance(4_999);
  expect(failure).toBeNull();
  await clock.advance(1);
  expect(failure).toMatchObject({ name: "AuditUnavailableError", cause: { message: /in time/ } });
});
