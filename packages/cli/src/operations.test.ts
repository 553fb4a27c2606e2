import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Host } from "./host.ts";
import { createEnvironmentOperations, type EnvironmentOperations } from "./operations.ts";

const body = { agentId: "agent-1", messages: [{ role: "user" as const, content: "hi", client_message_id: "m-1" }] };
const environment = {
  id: "env-1",
  deviceId: "device-1",
  connectionId: "conn-1",
  connectionName: "laptop",
};

beforeEach(() => void vi.spyOn(Math, "random").mockReturnValue(0));
afterEach(() => void vi.unstubAllGlobals());

/** Operations whose server gives these responses in turn, and the number of its requests. */
function connect(responses: readonly (() => Response)[]): { operations: EnvironmentOperations; count(): number } {
  let count = 0;
  vi.stubGlobal("fetch", async () => {
    const respond = responses[count];
    count += 1;
    return respond?.() ?? Response.error();
  });
  const host = { interrupted: new AbortController().signal, clock: { now: Date.now } } as unknown as Host;
  const settings = { baseUrl: "http://127.0.0.1:8787", apiKey: "key", allowInsecure: false, timeoutMs: 60_000 };
  return { operations: createEnvironmentOperations(host, settings), count: () => count };
}

const list = (): Response =>
  Response.json({ connections: [], hasNextPage: false }, { headers: { "x-message-deduplication": "86400" } });
const broken = (): Response => {
  throw new TypeError("fetch failed");
};
const delivery = { idempotencyKey: undefined, waitMs: 0 };

test("a send after a broken connection is repeated if an earlier response to the command announced deduplication", async () => {
  const accepted = (): Response => Response.json({ success: true, message: "ok" });
  const { operations, count } = connect([list, broken, accepted]);
  await operations.list({});
  let sends = 0;
  const sent = await operations.send("conn-1", body, { ...delivery, onSend: () => void (sends += 1) });
  expect(sent).toEqual({ outcome: "accepted", connectionId: "conn-1" });
  expect([count(), sends]).toEqual([3, 1]);
});

test("the list of approvals ends with a server that repeats its cursors", async () => {
  const page = (cursor: string) => (): Response => Response.json({ approvals: [], hasNextPage: true, cursor });
  const { operations, count } = connect(Array.from({ length: 20 }, (_, index) => page(`cursor-${index % 2}`)));
  expect(await operations.approvals()).toEqual([]);
  expect(count()).toBe(3);
});

test("a delivered message is reported as delivered when its response lacks a documented member", async () => {
  const { operations } = connect([(): Response => Response.json({ success: true })]);
  const sent = await operations.send("conn-1", body, { ...delivery, onSend: () => undefined });
  expect(sent.outcome).toBe("accepted");
});

test("a response to a send without a result, and a list without a documented member, are errors", async () => {
  const { operations } = connect([
    (): Response => Response.json({ message: "ok" }),
    (): Response => Response.json({}),
    (): Response => Response.json({ connections: [environment], hasNextPage: false }),
  ]);
  for (let count = 0; count < 2; count++) {
    const send = operations.send("conn-1", body, { ...delivery, onSend: () => undefined });
    await expect(send).rejects.toMatchObject({ code: "invalid_response", outcome: "unknown" });
  }
  await expect(operations.list({})).rejects.toMatchObject({ code: "invalid_response" });
});
