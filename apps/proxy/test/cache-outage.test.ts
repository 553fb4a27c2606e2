/** The cache in Valkey, as the gateway opens it, while Valkey does not respond. */
import { canLaunchValkey, launchValkey } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { LogEvent } from "../src/adapters/log-event.ts";
import { openEnvironmentCache } from "../src/runtimes/node/shared-stores.ts";

const cache = { store: "valkey", maxBytes: 1, maxEntries: 1, statusFor: "everybody" } as const;

test.runIf(canLaunchValkey())("an outage of Valkey is reported once, with its cause, and so is its end", async () => {
  const valkey = await launchValkey();
  const events: LogEvent[] = [];
  const opened = await openEnvironmentCache({ cache, valkeyUrl: valkey.url }, (event) => void events.push(event));
  const view = opened.cacheFor({ cache, upstream: { kind: "embedded" } });
  const invalidate = async (): Promise<void> => view?.invalidate("acme", { deviceId: "device-1" });
  const types = (): readonly string[] => events.map(({ type }) => type);
  try {
    await invalidate();
    valkey.pause();
    for (let call = 0; call < 3; call++) await invalidate();
    valkey.resume();
    await expect.poll(async () => [await invalidate(), types()].at(-1), { timeout: 5_000 }).toHaveLength(2);
    expect(events).toMatchObject([
      { type: "cache_failed", operation: "store-delete", cause: { message: expect.stringContaining("in time") } },
      { type: "cache_recovered", durationMs: expect.any(Number) },
    ]);
  } finally {
    opened.close();
    await valkey.stop();
  }
});
