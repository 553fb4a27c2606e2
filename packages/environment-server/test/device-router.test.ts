import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createLocalRouter } from "../src/index.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createRoutedHarness, describeDeviceRouterContract } from "./device-router-contract.ts";
import { userMessage } from "./support/harness.ts";
import { createServerLinks } from "./support/linked-servers.ts";

describeDeviceRouterContract("one process", () => {
  const { harness, router } = createRoutedHarness(createLocalRouter);
  return { near: harness, far: harness, router, farPodId: "pod-1" };
});

function createLinkedWorld() {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const links = createServerLinks(store);
  const [near, far] = (["near", "far"] as const).map((podId) =>
    createRoutedHarness((local) => links.join(podId, local), { store, clock, podId }),
  );
  if (near === undefined || far === undefined) throw new Error("unreachable");
  return { near: near.harness, far: far.harness, router: near.router, farPodId: "far", links };
}

describeDeviceRouterContract("two processes that exchange messages", createLinkedWorld);

test("a process that is lost during a send leaves its outcome unknown, and the send is not repeated", async () => {
  const { near, far, links } = createLinkedWorld();
  const { connectionId, socket } = await far.connect("device-a");
  const sent = near.send(connectionId, { messages: [userMessage("m-1")] });
  await near.settle();
  expect(socket.inputs()).toHaveLength(1);
  links.cut("far");
  expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  expect((await near.send(connectionId, { messages: [userMessage("m-2")] })).body["errorCode"]).toBe("device_offline");
  const again = await near.connect("device-a");
  const repeated = await near.send(again.connectionId, { messages: [userMessage("m-1")] });
  expect(repeated.body["errorCode"]).toBe("delivery_unknown");
  expect(again.socket.inputs()).toEqual([]);
});

test("a message that waits in another process is not sent if its caller disconnects", async () => {
  const { near, far } = createLinkedWorld();
  const { connectionId, socket } = await far.connect("device-a");
  const leaving = new AbortController();
  const sent = near.send(connectionId, {}, { signal: leaving.signal });
  leaving.abort(new Error("gone"));
  await expect(sent).rejects.toThrow("gone");
  await near.settle();
  expect(socket.inputs()).toEqual([]);
});
