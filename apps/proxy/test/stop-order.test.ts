/** The order in which a gateway stops: what still happens because of the stop is recorded before the audit log closes. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@letta-environments/platform/node";
import { expect, onTestFinished, test, vi } from "vitest";
import { nodeKeyMint } from "../src/runtimes/node/keys.ts";
import type { LogEvent } from "../src/adapters/log-event.ts";
import { resolveSettings } from "../src/config/resolve.ts";
import { createKey } from "../src/keys/key-lifecycle.ts";
import { openInstance } from "../src/runtimes/server/instance.ts";
import { openSocket, requestHead } from "./support/raw-http.ts";

test("a send whose body has not arrived when the gateway stops is recorded as refused, and the audit log does not fail", async () => {
  const folder = await mkdtemp(join(tmpdir(), "letta-stop-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const resolved = resolveSettings({ flags: {}, environment: { DATA_DIR: folder, PORT: "0" }, file: undefined });
  if (!resolved.ok) throw new Error("unreachable");
  const events: LogEvent[] = [];
  const instance = await openInstance(resolved.settings, (event) => void events.push(event));
  const { main } = await instance.listen();
  const { keys, keyStoreFor, audit } = instance.resources;
  const minted = createKey(
    { tenant: "default", name: "caller", scopes: ["send"] },
    systemClock.now(),
    nodeKeyMint(keys.pepper),
  );
  await keyStoreFor({ kind: "start" }).create(minted.record);

  const socket = await openSocket(main.url);
  socket.on("error", () => undefined);
  const headers = { authorization: `Bearer ${minted.key}`, "content-length": "100", expect: "100-continue" };
  socket.write(requestHead("POST", "/v1/environments/c/messages", headers));
  // The gateway has opened the record of the send and awaits its body.
  expect(String((await once(socket, "data"))[0])).toContain("100 Continue");
  if (audit === null) throw new Error("unreachable");
  const append = vi.spyOn(audit, "append");
  await instance.close(0, [main.connections]);

  expect(events.filter(({ type }) => type === "audit_failed" || type === "internal_error")).toEqual([]);
  expect(append.mock.calls).toEqual([[expect.objectContaining({ type: "send_refused", status: 499 })]]);
  expect(append.mock.settledResults.map(({ type }) => type)).toEqual(["fulfilled"]);
});
