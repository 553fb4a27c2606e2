import { expect, test } from "vitest";
import type { RuntimeLauncher } from "../launcher.ts";

/** A gateway that receives SIGTERM: `/readyz` tells load balancers before the listener closes. */
export function describeStopping(launcher: RuntimeLauncher): void {
  test("/readyz is 503 after SIGTERM while requests are still accepted, then the listener closes", async () => {
    // Long enough for three requests on a busy machine.
    const gateway = await launcher.launch({ config: { shutdown: { readinessDelayMs: 3_000 } }, environment: {} });
    const ready = await fetch(`${gateway.url}/readyz?verbose`);
    expect([ready.status, await ready.text()]).toEqual([200, expect.stringContaining("[+]disk ok")]);
    const stopping = gateway.stop();
    for (;;) {
      const response = await fetch(`${gateway.url}/readyz`);
      const body = (await response.json()) as Readonly<Record<string, unknown>>;
      if (response.status === 200) continue;
      expect([response.status, body["errorCode"]]).toEqual([503, "shutting_down"]);
      break;
    }
    expect((await fetch(`${gateway.url}/livez`)).status).toBe(200);
    await stopping;
    await expect(fetch(`${gateway.url}/livez`)).rejects.toThrow("fetch failed");
  });
}
