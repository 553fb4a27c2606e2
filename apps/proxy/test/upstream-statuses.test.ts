/**
 * Every status a remote upstream can send, for every endpoint and kind of key. Only the endpoint's success status is a success, and only a
 * success reaches the caller with its body.
 */
import { endpoints, matchEndpoint, type Operation, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { UpstreamFetch } from "../src/ports.ts";
import { environmentRow } from "./support/environment-row.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";

/** In members that only scope `details` shows. */
const detail = "detail-mark";
/** In a device that no restricted key may see. */
const foreign = "foreign-mark";

const details = { userId: detail, apiKeyOwner: detail, podId: detail, organizationId: detail };
const rows = [
  environmentRow("mine", { ...details, deviceId: "mine", connectionId: "conn-mine", connectionName: "ci-1" }),
  environmentRow(foreign, { ...details, deviceId: "theirs", connectionId: "conn-theirs", connectionName: foreign }),
];

/** Operations on a device itself, see `device-changes.test.ts`. */
type OnDevice = "updateEnvironment" | "removeEnvironment" | "retrieveLastRuntime";

/** Sockets are those of an embedded server. */
type OfSockets = "openDeviceSocket" | "openViewerSocket" | "createViewerTicket";

/** There are no events. The status of a message comes from the gateway's own log. `upstream/extensions/` covers the lists of approvals and messages. */
type Elsewhere = "retrieveMessage" | "listMessages" | "listApprovals" | "streamEvents";
type Forwarded = Exclude<Operation, "registerEnvironment" | Elsewhere | OnDevice | OfSockets>;

const control = (path: string, members: object = {}): object => ({
  method: "POST",
  path: `/v1/environments/conn-theirs/${path}`,
  body: JSON.stringify({ agentId: "agent-1", ...members }),
});

const requests: Readonly<Record<Forwarded, object>> = {
  listEnvironments: {},
  retrieveEnvironment: { path: "/v1/environments/theirs" },
  sendMessage: {
    method: "POST",
    path: "/v1/environments/conn-theirs/messages",
    body: JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m" }] }),
  },
  stopTurn: control("stop"),
  changeMode: control("mode", { mode: "standard" }),
  changeDirectory: control("directory", { directory: "/code" }),
  resumeQueue: control("queue/resume"),
  removeQueueItem: {
    method: "DELETE",
    path: "/v1/environments/conn-theirs/queue/q-1",
    query: "agentId=agent-1",
  },
};

interface KindOfKey {
  readonly name: string;
  /** Whether it may use the device `mine` alone. */
  readonly isRestricted: boolean;
  /** Whether it is limited by device id, so that reading another device ends before the upstream is called. */
  readonly isLimitedById?: boolean;
  /** Whether it has scope `details`. */
  readonly hasDetails?: boolean;
  /** False for callers that get the scope `control` from their own name for it in no case: only a setting of the operator gives it. */
  readonly mayControl?: boolean;
  readonly keyOf: (proxy: TestProxy) => Promise<string>;
}

const issuer = await createTestIssuer();
const scopes = ["list", "read", "send", "control"] as const;
const kindsOfKey: readonly KindOfKey[] = [
  { name: "an unrestricted key", isRestricted: false, keyOf: async ({ issueKey }) => (await issueKey({ scopes })).key },
  {
    name: "a key limited to one device",
    isRestricted: true,
    isLimitedById: true,
    keyOf: async ({ issueKey }) => (await issueKey({ scopes, deviceIds: ["mine"] })).key,
  },
  {
    name: "a key limited to a name pattern",
    isRestricted: true,
    keyOf: async ({ issueKey }) => (await issueKey({ scopes, connectionNames: ["ci-*"] })).key,
  },
  {
    name: "a key of a tenant limited to a name pattern",
    isRestricted: true,
    keyOf: async ({ issueKey }) => (await issueKey({ scopes, tenant: "limited" })).key,
  },
  {
    name: "an unrestricted key with scope details",
    isRestricted: false,
    hasDetails: true,
    keyOf: async ({ issueKey }) => (await issueKey({ scopes: [...scopes, "details"] })).key,
  },
  {
    name: "a key with scope details limited to one device",
    isRestricted: true,
    isLimitedById: true,
    hasDetails: true,
    keyOf: async ({ issueKey }) => (await issueKey({ scopes: [...scopes, "details"], deviceIds: ["mine"] })).key,
  },
  {
    name: "a caller's own upstream key",
    isRestricted: false,
    // The upstream itself decides what its own key shows.
    hasDetails: true,
    mayControl: false,
    keyOf: async () => "sk-let-callers-own-key",
  },
  {
    name: "a JWT limited to one device",
    isRestricted: true,
    isLimitedById: true,
    mayControl: false,
    keyOf: ({ clock }) => issuer.sign(clock.now(), { claims: { scope: scopes.join(" "), devices: ["mine"] } }),
  },
];

/** The request is about a device that the key may not use, as far as the upstream is called for it. */
function requestOf({ isLimitedById = false }: KindOfKey, operation: Forwarded): object {
  const isOwnDevice = isLimitedById && operation === "retrieveEnvironment";
  return isOwnDevice ? { path: "/v1/environments/mine" } : requests[operation];
}

/** An upstream with a good body behind every status. */
function upstreamWith(statusOf: (operation: Forwarded) => number): UpstreamFetch {
  return ({ method, path }) => {
    const match = matchEndpoint(method, path);
    if (match.kind === "refused") throw new Error(`${method} ${path} is no endpoint`);
    const operation = match.endpoint.operation as Forwarded;
    const bodies: Readonly<Partial<Record<Forwarded, unknown>>> = {
      listEnvironments: { connections: rows, hasNextPage: false },
      retrieveEnvironment: rows.find(({ deviceId }) => path.endsWith(deviceId)),
      sendMessage: { success: true, message: "accepted" },
    };
    const commandResult = { stopped: true, mode: "standard", directory: "/", resumed: 1, removed: true };
    const body = bodies[operation] ?? commandResult;
    const headers = { "content-type": "application/json" };
    return Promise.resolve({ status: statusOf(operation), headers, body: JSON.stringify(body) });
  };
}

async function request(
  kind: KindOfKey,
  operation: Forwarded,
  statusOf: (operation: Forwarded) => number,
): Promise<{ readonly response: PlainResponse; readonly proxy: TestProxy }> {
  const limited = { credential: null, publicName: null, deviceIds: null, connectionNames: ["ci-*"] };
  const proxy = createTestProxy(upstreamWith(statusOf), {
    ports: { fetchJwks: issuer.fetchJwks },
    config: {
      jwt: { ...testJwtSettings, claims: { ...testJwtSettings.claims, deviceIds: "devices" } },
      passThrough: true,
      tenants: new Map([["limited", limited]]),
    },
  });
  const key = await kind.keyOf(proxy);
  return { response: await proxy.proxy.handle(fakeRequest({ key, ...requestOf(kind, operation) })), proxy };
}

/** The parts of a response that the caller must not see. */
function findHidden(kind: KindOfKey, response: PlainResponse): string[] {
  const isSuccess = response.status < 400;
  const text = JSON.stringify([response.headers, String(response.body)]);
  const hidden = [
    ...(isSuccess && kind.hasDetails === true ? [] : [detail]),
    ...(isSuccess && !kind.isRestricted ? [] : [foreign]),
  ];
  return hidden.filter((mark) => text.includes(mark));
}

/** The status and code of a response, and the hidden values that it reveals. */
function outcomeOf(kind: KindOfKey, response: PlainResponse): string {
  const code = response.status < 400 ? [] : [problemOf(response).errorCode];
  return [response.status, ...code, ...findHidden(kind, response)].join(" ");
}

const statuses = [
  ...[100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299],
  ...[300, 301, 302, 303, 304, 305, 307, 308, 399],
  ...[400, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 418, 421, 422, 425, 426, 429, 431, 451, 499],
  ...[500, 501, 502, 503, 504, 505, 511, 520, 599, 600, 700, 999],
];

/** The expected response for a status of the upstream. */
function expectedOutcome(kind: KindOfKey, operation: Forwarded, status: number): string {
  const { isRestricted, isLimitedById = false, mayControl = true } = kind;
  const isControl = endpoints[operation].scope === "control";
  if (isControl && !mayControl) return "403 insufficient_scope";
  // For a restricted key the other device does not exist, whatever the upstream returns for it.
  const isSuccess = status === endpoints[operation].successStatus;
  if (isRestricted && (operation === "sendMessage" || isControl)) return "404 connection_not_found";
  if (operation === "retrieveEnvironment" && (status === 404 || (isRestricted && isSuccess && !isLimitedById))) {
    return "404 environment_not_found";
  }
  if (isSuccess) return String(status);
  if (isControl && [404, 405, 501].includes(status)) return "404 endpoint_not_found";
  if (status >= 300 && status < 400 && status !== 304) return "502 upstream_redirected";
  if (status === 407) return "502 upstream_credential_rejected";
  // Callers would miss the field that such a response must have (Allow, Upgrade), or repeat the request by themselves.
  if ([405, 408, 421, 426, 499].includes(status)) return "502 upstream_error";
  return status >= 400 && status < 600 ? `${status} upstream_error` : "502 upstream_invalid_response";
}

const operations = Object.keys(requests) as readonly Forwarded[];

describe.each(kindsOfKey)("for $name", (kind) => {
  test.each(operations)(
    "the operation %s succeeds only with the endpoint's success status, and reveals nothing hidden",
    async (operation) => {
      const outcomes: unknown[] = [];
      for (const status of statuses) {
        const { response } = await request(kind, operation, (called) => (called === operation ? status : 200));
        outcomes.push([status, outcomeOf(kind, response)]);
      }
      expect(outcomes).toEqual(statuses.map((status) => [status, expectedOutcome(kind, operation, status)]));
    },
  );

  test("a message is sent only if the upstream's connection list succeeded with the expected status", async () => {
    const failures = statuses.filter((status) => status !== endpoints.listEnvironments.successStatus);
    const outcomes: unknown[] = [];
    for (const status of failures) {
      const { response, proxy } = await request(kind, "sendMessage", (called) =>
        called === "sendMessage" ? 200 : status,
      );
      const sent = proxy.upstreamRequests.filter(({ method }) => method === "POST");
      outcomes.push([status, outcomeOf(kind, response), sent.length]);
    }
    const unrestricted = { ...kind, isRestricted: false };
    expect(outcomes).toEqual(
      failures.map((status) => [status, expectedOutcome(unrestricted, "listEnvironments", status), 0]),
    );
  });

  test.each([401, 403])("an upstream response with status %d reveals nothing hidden", async (status) => {
    for (const operation of operations) {
      const { response } = await request(kind, operation, () => status);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(findHidden(kind, response)).toEqual([]);
    }
  });
});

test("the test matrix covers every endpoint of a remote upstream, except those for devices", () => {
  const others: readonly Operation[] = [
    "listMessages",
    "listApprovals",
    "streamEvents",
    "updateEnvironment",
    "removeEnvironment",
    "retrieveLastRuntime",
  ];
  const notForwarded: readonly Operation[] = ["retrieveMessage", "openViewerSocket", "createViewerTicket", ...others];
  const served: readonly Operation[] = Object.values(endpoints)
    .filter(({ audience, operation }) => audience === "caller" && !notForwarded.includes(operation))
    .map(({ operation }) => operation);
  expect(operations).toEqual(served);
});
