import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createHarness, userMessage } from "./support/harness.ts";

/** Runs a server in its own process until it has responded to one send and written another, then kills it with SIGKILL. */
async function runUntilKilled(file: string): Promise<{ connectionId: string; status: number }> {
  const script = join(import.meta.dirname, "support", "run-until-killed.ts");
  const child = spawn(process.execPath, [script, file], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  let line = "";
  for await (const chunk of child.stdout) {
    line += String(chunk);
    if (line.includes("\n")) break;
  }
  child.kill("SIGKILL");
  expect(await exited).toEqual([null, "SIGKILL"]);
  return JSON.parse(line);
}

test("after kill -9 the row, the first result and the open reservation are stored, nothing is sent twice, and the device's report settles open sends", async () => {
  const directory = mkdtempSync(join(tmpdir(), "environment-server-kill-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "server.sqlite");
  const { connectionId, status } = await runUntilKilled(file);
  expect(status).toBe(200);

  const database = openSqlite(file);
  onTestFinished(() => database.close());
  const clock = createVirtualClock(Date.now());
  const { call, open, send } = createHarness({ store: createSqliteEnvironmentStore(database), clock });
  expect((await call("GET", "/v1/environments/device-1")).body).toMatchObject({
    deviceId: "device-1",
    connectionId: null,
  });
  const socket = await open(connectionId);
  expect(await send(connectionId, { messages: [userMessage("acknowledged")] })).toMatchObject({
    status: 200,
    headers: { "idempotency-replayed": "true" },
  });
  expect(await send(connectionId, { messages: [userMessage("unacknowledged")] })).toMatchObject({
    status: 504,
    body: { errorCode: "delivery_unknown" },
  });
  expect(socket.frames).toEqual([]);

  // The device lists the message that it has, so it becomes accepted.
  await clock.advance(0);
  expect(socket.frames).toMatchObject([{ type: "sync" }]);
  const { runtime } = socket.frames[0] ?? {};
  socket.say({ type: "update_queue", runtime, queue: [{ client_message_id: "unacknowledged" }] });
  await clock.advance(0);
  expect((await send(connectionId, { messages: [userMessage("unacknowledged")] })).status).toBe(200);
  expect(socket.inputs()).toEqual([]);

  // Neither status was stored. Both go on from what the device reports.
  const byRun = { "run-1": ["acknowledged"] };
  const loop_status = {
    status: "PROCESSING_API_RESPONSE",
    active_run_ids: ["run-1"],
    client_message_ids_by_run_id: byRun,
  };
  socket.say({ type: "update_loop_status", runtime, loop_status });
  const stateOf = async (id: string): Promise<unknown> =>
    (await call("GET", `/v1/environments/${connectionId}/messages/${id}`)).body["state"];
  expect([await stateOf("acknowledged"), await stateOf("unacknowledged")]).toEqual(["running", "accepted"]);
});
