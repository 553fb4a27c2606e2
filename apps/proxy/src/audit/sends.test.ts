import type { PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { createTestProxy } from "../../test/support/test-proxy.ts";
import type { UpstreamServer } from "../upstream/settings.ts";
import type { AuditEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";
import { type AuditedSend, beginSend, createAuditSends } from "./sends.ts";

/** A log whose first entry is stored only when `store` is called. */
function createSlowLog(): { readonly log: AuditLog; readonly entries: AuditEntry[]; store(): void } {
  const entries: AuditEntry[] = [];
  let store = (): void => undefined;
  const stored = new Promise<void>((resolve) => {
    store = resolve;
  });
  const log: AuditLog = {
    async append(entry) {
      entries.push(entry);
      if (entries.length === 1) await stored;
    },
  };
  return { log, entries, store: () => store() };
}

function beginTestSend(): AuditedSend {
  const ids = { sendId: "send-1", requestId: "req-1", connectionId: "conn-1" };
  return beginSend({ ...ids, principal: createTestPrincipal(), isCallerKnown: true, connection: undefined });
}

const cancelled: PlainResponse = { status: 499, headers: {}, body: null };
const types = (entries: readonly AuditEntry[]): readonly string[] => entries.map(({ type }) => type);

describe("a request that ends while the start of its send is being stored", () => {
  test("is recorded as started and then as finished", async () => {
    const { log, entries, store } = createSlowLog();
    const sends = createAuditSends(log, { keepContent: false, onFailure: () => undefined });
    const send = beginTestSend();
    const started = sends.start(send, "device-1");
    const finished = sends.finish(send, cancelled);
    store();
    await Promise.all([started, finished]);
    expect(types(entries)).toEqual(["send_started", "send_finished"]);
  });

  test("has one start and one end in the log when the caller disconnects from an embedded server", async () => {
    const { log, entries, store } = createSlowLog();
    const caller = new AbortController();
    const upstream: UpstreamServer = {
      kind: "embedded",
      server: {
        operate: () => expect.unreachable("a caller that is gone must not reach the device"),
        findConnection: () => Promise.resolve(null),
      },
    };
    const { proxy, issueKey } = createTestProxy(undefined, { ports: { audit: log, upstream } });
    const { key } = await issueKey();
    const handled = proxy.handle(
      fakeRequest({
        method: "POST",
        path: "/v1/environments/conn-1/messages",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify({
          agentId: "agent-1",
          messages: [{ role: "user", content: "hello", client_message_id: "m1" }],
        }),
        signal: caller.signal,
      }),
    );
    await expect.poll(() => entries.length).toBe(1);
    caller.abort();
    store();
    expect((await handled).status).toBe(499);
    expect(types(entries)).toEqual(["send_started", "send_finished"]);
  });
});

test("a log that throws instead of rejecting is reported and does not fail the request", async () => {
  const failures: unknown[] = [];
  const log: AuditLog = {
    append() {
      throw new Error("closed");
    },
  };
  const sends = createAuditSends(log, { keepContent: false, onFailure: (_requestId, cause) => failures.push(cause) });
  await sends.finish(beginTestSend(), cancelled);
  expect(failures).toHaveLength(1);
});
