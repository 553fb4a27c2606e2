/** A gateway in front of a fake remote upstream with one device, for tests of repeated sends. */
import { type Environment, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import type { AuditEntry } from "../../src/audit/entry.ts";
import { AuditUnavailableError } from "../../src/audit/store.ts";
import type { UpstreamFailure, UpstreamFetch } from "../../src/ports.ts";
import { environmentRow } from "./environment-row.ts";
import { fakeRequest } from "./fake-request.ts";
import { bodyOf, createTestProxy, problemOf, type TestProxy } from "./test-proxy.ts";

export const accepted: PlainResponse = jsonResponse(200, { success: true, message: "ok" });

/** A send by a caller. */
export interface TestSend {
  readonly messages?: readonly unknown[];
  readonly members?: object;
  readonly connectionId?: string;
  readonly idempotencyKey?: string;
  readonly key?: string;
  readonly signal?: AbortSignal;
}

export interface SendWorld extends TestProxy {
  rows: readonly Environment[];
  /** The upstream's response to every read, instead of its rows. */
  reads: PlainResponse | UpstreamFailure | null;
  /** The upstream's reactions to the next sends. Default: it accepts them. */
  upstream: (signal: AbortSignal) => Promise<PlainResponse | UpstreamFailure>;
  readonly entries: AuditEntry[];
  /** Entries of the audit log that cannot be written. */
  readonly refusedEntries: Set<AuditEntry["type"]>;
  /** The bodies that reached the upstream. */
  delivered(): readonly unknown[];
  send(send?: TestSend): Promise<PlainResponse>;
}

/** A user message. */
export const user = (id: string, content = "x"): object => ({ role: "user", content, client_message_id: id });

/** A body's approval message with decisions. */
export const approval = (...approvals: object[]): object => ({ type: "approval", approvals });

/** The status, code and replay mark of a response. */
export function summarise(response: PlainResponse): string {
  const code = response.status < 400 ? [] : [problemOf(response).errorCode];
  const replayed = response.headers["idempotency-replayed"] === "true" ? ["replayed"] : [];
  return [response.status, ...code, ...replayed].join(" ");
}

/** The members that a problem names. */
export function namedMembers(response: PlainResponse): readonly string[] {
  return (problemOf(response).errors ?? []).map(({ member }) => member);
}

export const unreachable: UpstreamFailure = { reason: "unreachable", cause: null };

export async function createSendWorld(options: Parameters<typeof createTestProxy>[1] = {}): Promise<SendWorld> {
  const entries: AuditEntry[] = [];
  const refusedEntries = new Set<AuditEntry["type"]>();
  const audit = {
    async append(entry: AuditEntry) {
      if (refusedEntries.has(entry.type)) throw new AuditUnavailableError(new Error("disk full"));
      entries.push(entry);
    },
  };
  const fetch: UpstreamFetch = async ({ method, path }, signal) => {
    if (method === "POST") return world.upstream(signal);
    if (world.reads !== null) return world.reads;
    if (path === "/v1/environments") return jsonResponse(200, { connections: world.rows, hasNextPage: false });
    const row = world.rows.find(({ deviceId }) => path.endsWith(`/${deviceId}`));
    return row === undefined ? jsonResponse(404, { message: "no such device" }) : jsonResponse(200, row);
  };
  const testProxy = createTestProxy(fetch, { ...options, ports: { audit, ...options.ports } });
  const issued = await testProxy.issueKey({ scopes: ["list", "read", "send", "approve"] });
  const world: SendWorld = {
    ...testProxy,
    rows: [environmentRow("1")],
    reads: null,
    upstream: () => Promise.resolve(accepted),
    entries,
    refusedEntries,
    delivered: () =>
      testProxy.upstreamRequests
        .filter(({ method }) => method === "POST")
        .map(({ body }) => bodyOf({ status: 200, headers: {}, body })),
    send({ messages = [user("m")], members, connectionId = "conn-1", idempotencyKey, key = issued.key, signal } = {}) {
      return testProxy.proxy.handle(
        fakeRequest({
          key,
          method: "POST",
          path: `/v1/environments/${connectionId}/messages`,
          headers: idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
          body: JSON.stringify({ agentId: "agent-1", messages, ...members }),
          ...(signal !== undefined && { signal }),
        }),
      );
    },
  };
  return world;
}

/** A promise and its functions. */
export function deferred<Value>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((resolvePromise) => (resolve = resolvePromise));
  return { promise, resolve };
}
