import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { testJwtSettings } from "../../test/support/test-issuer.ts";
import { createJwksCache } from "./jwks.ts";

test("all requests that wait for a read of the issuer's keys learn that it failed when its own request is cancelled", async () => {
  const clock = createVirtualClock();
  const { promise: text, reject } = Promise.withResolvers<string>();
  const keySets = createJwksCache(
    {
      clock,
      fetchJwks: () => text,
      // On Workers, the promise of a cancelled request rejects. Only a port that throws does that here.
      telemetry: () => {
        throw new Error("This promise was created by a request that has since ended, so it can never settle.");
      },
    },
    testJwtSettings,
  );
  const waiting = [keySets.reload(), keySets.reload()];
  reject(new Error("cancelled"));
  const failed = { keySet: null, freshness: "failed" };
  expect(await Promise.all(waiting)).toEqual([failed, failed]);
});
