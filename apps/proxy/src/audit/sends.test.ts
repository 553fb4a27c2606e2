import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { environmentRow } from "../../test/support/environment-row.ts";
import { createTestProxy, problemOf } from "../../test/support/test-proxy.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { UpstreamFetch } from "../ports.ts";
import { embedServer } from "../upstream/embedded.ts";
import type { AuditEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";
import type { AuditedAction } from "./actions.ts";
import { createBeginSend } from "./sends.ts";

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

function beginTestSend(log: AuditLog, onFailure: (requestId: string, cause: unknown) => void): AuditedAction {
  const begin = createBeginSend({ log, onFailure, keepContent: false, randomId: () => "send-1" });
  const ids = { requestId: "req-1", connectionId: "conn-1", itemId: null };
  return begin({ ...ids, principal: createTestPrincipal(), isCallerKnown: true, connection: undefined });
}

function sendRequest(key: string, signal: AbortSignal = new AbortController().signal): GatewayRequest {
  const messages = [{ role: "user", content: "hello", client_message_id: "m1" }];
  return fakeRequest({
    key,
    method: "POST",
    path: "/v1/environments/conn-1/messages",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agentId: "agent-1", messages }),
    signal,
  });
}

const cancelled: PlainResponse = { status: 499, headers: {}, body: null };
const types = (entries: readonly AuditEntry[]): readonly string[] => entries.map(({ type }) => type);

describe("requests that end while the start of their send is being stored", () => {
  test("a send that ends while its start is being stored is recorded as started and then as finished", async () => {
    const { log, entries, store } = createSlowLog();
    const send = beginTestSend(log, () => undefined);
    const started = send.record.start("device-1");
    const finished = send.finish(cancelled);
    store();
    await Promise.all([started, finished]);
    expect(types(entries)).toEqual(["send_started", "send_finished"]);
  });

  test("a send has one start and one end in the log when the caller disconnects from an embedded server", async () => {
    const { log, entries, store } = createSlowLog();
    const caller = new AbortController();
    const upstream = embedServer({
      operate: () => expect.unreachable("a caller that is gone must not reach the device"),
      findConnection: () => Promise.resolve(null),
    });
    const { proxy, issueKey } = createTestProxy(undefined, { ports: { audit: log, upstream } });
    const { key } = await issueKey();
    const handled = proxy.handle(sendRequest(key, caller.signal));
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
  await beginTestSend(log, (_requestId, cause) => failures.push(cause)).finish(cancelled);
  expect(failures).toHaveLength(1);
});

test("a send whose start is not stored before the deadline is not sent, and its response says so", async () => {
  const row = environmentRow("1", { deviceId: "device-1", connectionId: "conn-1" });
  const remote: UpstreamFetch = () => Promise.resolve(jsonResponse(200, { connections: [row], hasNextPage: false }));
  const log: AuditLog = {
    async append({ type }) {
      if (type === "send_started") await clock.advance(30_000);
    },
  };
  const { proxy, issueKey, clock, upstreamRequests } = createTestProxy(remote, { ports: { audit: log } });
  const { key } = await issueKey();
  const response = await proxy.handle(sendRequest(key));
  expect(problemOf(response)).toMatchObject({ status: 504, errorCode: "upstream_timeout" });
  expect(upstreamRequests.filter(({ method }) => method === "POST")).toEqual([]);
});
