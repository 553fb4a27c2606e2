import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { json, openStream, type PageStream, problem, rowOf, sessionOf, stubPage } from "../../test/support/page.ts";

const request = { deviceId: "d", agentId: "agent-1", conversationId: "default", id: "call-1" };

const approval = {
  ...request,
  connectionId: "c",
  tool: "Bash",
  input: {},
  inputTruncated: false,
  reason: null,
  suggestions: [],
  clientMessageId: null,
  requestedAt: 1,
  expiresAt: null,
  ageMs: 0,
};
const approvalOf = (id: string): typeof approval => ({ ...approval, id });

let stream: PageStream | null = null;
/** The ids of the requests in the gateway's list. */
let listed: readonly string[] = [];
/** The connection of their device; `undefined`: the list cannot be read. */
let connectionId: string | null | undefined;
/** The devices in the gateway's list. */
let rows: readonly object[] = [];
/** Lets the gateway respond to the decision that it has. */
let respond: (() => void) | null = null;
/** The notifications that the browser has shown. */
let shown: object[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  [stream, listed, rows, shown, respond, connectionId] = [null, [], [rowOf("1")], [], null, "c"];
  stubPage((sent) => {
    if (sent.path === "/console/session") return json(200, sessionOf("a", ["list", "read", "approve"]));
    if (sent.path.startsWith("/v1/environments/approvals")) {
      if (connectionId === undefined) return problem(500, "internal_error");
      return json(200, { approvals: listed.map((id) => ({ ...approvalOf(id), connectionId })), hasNextPage: false });
    }
    if (sent.method === "POST" && sent.path.endsWith("/messages"))
      return new Promise((resolve) => (respond = () => resolve(json(200, { success: true }))));
    if (!sent.path.startsWith("/v1/environments/events")) return json(200, { connections: rows, hasNextPage: false });
    stream = openStream(sent);
    return stream.response;
  });
  class Shown {
    static readonly permission = "granted";
    constructor(title: string, options: object) {
      shown.push({ title, ...options });
    }
    addEventListener(): void {
      // Nobody clicks.
    }
  }
  vi.stubGlobal("Notification", Shown);
  vi.stubGlobal("document", { hasFocus: () => false });
});

afterEach(async () => {
  const { signOut } = await import("./session.ts");
  await signOut();
  vi.useRealTimers();
});

/** Opens the page as a user who wants notifications. */
async function open() {
  const [approvals, environments, session, { alertUser }] = await Promise.all([
    import("./approvals.ts"),
    import("./environments.ts"),
    import("./session.ts"),
    import("./alerts.ts"),
  ]);
  approvals.setAlert("notification", true);
  approvals.followApprovals(alertUser);
  environments.followSessions();
  await session.signIn({ key: "a" });
  await settled(() => stream !== null, true);
  return approvals;
}

const settled = <Value>(read: () => Value, expected: Value): Promise<void> =>
  vi.waitFor(() => expect(read()).toEqual(expected), { timeout: 10_000 });

const tell = (id: string, change: string): void =>
  stream?.write({ type: "approval", id: `${id} ${change}`, change, approval: approvalOf(id) });

test("requests of two agents are separate, even with the same id in conversations of the same name", async () => {
  const { keyOf } = await open();
  const others = [
    { ...request, agentId: "agent-2" },
    { ...request, agentId: null },
    { ...request, id: "call-2" },
  ];
  expect(new Set([request, ...others].map(keyOf)).size).toBe(4);
  expect(keyOf({ ...request })).toBe(keyOf(request));
});

test("a request that is reported again, with its message, keeps its position and does not count as new", async () => {
  const { withRequest } = await open();
  const second = approvalOf("call-2");
  const known = withRequest(withRequest([], approval), second);
  const again = { ...approval, clientMessageId: "m-1" };
  expect(known).toEqual([approval, second]);
  expect(withRequest(known, again)).toEqual([again, second]);
});

test("a different request under a known id is announced, and needs its own decision", async () => {
  const { approvals: waiting, questionOf } = await open();
  const { decide, deciding } = await import("./decisions.ts");
  tell("call-1", "requested");
  await settled(() => waiting.value.length, 1);
  const before = { ...approval, ...waiting.value[0] };
  expect(questionOf({ ...before, clientMessageId: "m-1", connectionId: null, expiresAt: 9, ageMs: 7 })).toBe(
    questionOf(before),
  );
  const decision = decide(before, true, "");
  await settled(() => respond !== null, true);
  const anew = { ...approval, input: { command: "rm -rf /srv" } };
  tell("call-1", "withdrawn");
  stream?.write({ type: "approval", id: "anew", change: "requested", approval: anew });
  await settled(() => waiting.value, [anew]);
  expect(deciding.value.has(questionOf(anew))).toBe(false);
  expect(questionOf({ ...before, requestedAt: 2 })).not.toBe(questionOf(before));
  respond?.();
  await decision;
  expect(waiting.value).toEqual([anew]);
  await settled(() => shown.length, 2);
});

test("alerts are only for requests that are still pending, even when events come late, and a second alert is noticed too", async () => {
  await open();
  for (const id of ["call-1", "call-2"]) for (const change of ["requested", "decided"]) tell(id, change);
  tell("call-3", "requested");
  await settled(() => shown.length, 1);
  tell("call-4", "requested");
  await settled(() => shown.length, 2);
  expect(shown).toEqual([
    expect.objectContaining({ title: "Approval needed", renotify: true }),
    expect.objectContaining({ body: "Bash on d waits for a decision.", renotify: true }),
  ]);
});

test("the page also alerts for requests that are already in the list when it opens or after missed events", async () => {
  listed = ["call-1"];
  const { approvalCount } = await open();
  await settled(() => shown.length, 1);
  listed = ["call-1", "call-2"];
  stream?.write({ type: "gap", id: "" });
  await settled(() => shown.length, 2);
  // The one that is known is not told of again.
  tell("call-2", "requested");
  listed = ["call-1", "call-2", "call-3"];
  stream?.write({ type: "gap", id: "" });
  await settled(() => approvalCount.value, 3);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(shown).toHaveLength(3);
});

test("a device's requests are counted, filtered and sorted from events, whatever its row contained when the list was loaded", async () => {
  rows = [rowOf("1"), rowOf("2", { deviceId: "d" }), rowOf("3", { pendingApprovals: 2 })];
  const [{ approvalCount, pendingOf }, { devices }, list, { route }] = await Promise.all([
    open(),
    import("./environments.ts"),
    import("./device-list.ts"),
    import("./route.ts"),
  ]);
  await settled(() => devices.value.length, 3);
  route.value = { ...route.value, parameters: { sort: "approvals" } };
  expect(list.selectedIds.value).toEqual(["1", "2", "3"]);
  for (const id of ["call-1", "call-2"]) tell(id, "requested");
  await settled(() => approvalCount.value, 2);
  expect(devices.value.map(pendingOf)).toEqual([0, 2, 0]);
  expect(list.selectedIds.value).toEqual(["2", "1", "3"]);
  route.value = { ...route.value, parameters: { status: "waiting" } };
  expect(list.selectedIds.value).toEqual(["2"]);
  for (const id of ["call-1", "call-2"]) tell(id, "decided");
  await settled(() => list.selectedIds.value, []);
});

test("a list that failed to load is not shown as empty, and is loaded again", async () => {
  [listed, connectionId] = [["call-1"], undefined];
  const { approvalCount, approvalsFailure } = await open();
  expect(approvalsFailure.value).toBeUndefined();
  await settled(() => approvalsFailure.value, "internal_error.");
  connectionId = "c";
  await vi.advanceTimersByTimeAsync(30_000);
  await settled(() => approvalCount.value, 1);
  expect(approvalsFailure.value).toBeNull();
});

test("the requests of other devices stay visible while a device with a request connects and disconnects, and are then reloaded", async () => {
  const { approvals: waiting, approvalsFailure } = await open();
  await settled(() => approvalsFailure.value, null);
  const lists: (() => void)[] = [];
  listed = ["call-1"];
  const ids = (): readonly string[] => waiting.value.map(({ id }) => id);
  const connect = (to: string): void =>
    stream?.write({
      type: "environment",
      id: to,
      deviceId: "d",
      connectionId: to,
      environment: { id: "1", connectionId: to },
    });
  const { fetch } = globalThis;
  vi.stubGlobal("fetch", async (url: string, init?: RequestInit) => {
    if (!url.includes("/approvals")) return fetch(url, init);
    const response = await fetch(url, init);
    await new Promise<void>((resolve) => lists.push(resolve));
    return response;
  });
  tell("call-2", "requested");
  await settled(ids, ["call-2"]);
  connect("c-2");
  await settled(() => lists.length, 1);
  tell("call-3", "requested");
  connect("c-3");
  await settled(ids, ["call-2", "call-3"]);
  listed = ["call-1", "call-4"];
  lists[0]?.();
  await settled(ids, ["call-1", "call-3"]);
  await settled(() => lists.length, 2);
  lists[1]?.();
  await settled(ids, ["call-1", "call-4"]);
  expect(lists).toHaveLength(2);
});

test("a part of the page that could not be loaded is not shown as an empty list, and is loaded again", async () => {
  listed = ["call-1"];
  vi.doMock("./approval-list.ts", () => {
    throw new Error("The network is gone.");
  });
  const { approvalCount, approvalsFailure } = await open();
  await settled(
    () => approvalsFailure.value,
    "This part of the console could not be loaded: wait, or reload the page.",
  );
  vi.doUnmock("./approval-list.ts");
  await vi.advanceTimersByTimeAsync(30_000);
  await settled(() => approvalCount.value, 1);
  expect(approvalsFailure.value).toBeNull();
});

test("a request counts while its device is online, and its decision goes to the device's current connection after a reconnect", async () => {
  listed = ["call-1"];
  const { approvals: waiting, approvalCount } = await open();
  await settled(() => approvalCount.value, 1);
  for (const present of [null, "c-2"]) {
    connectionId = present;
    stream?.write({
      type: "environment",
      id: `to ${present}`,
      deviceId: "d",
      connectionId,
      environment: { id: "1", connectionId },
    });
    await settled(() => waiting.value.map((each) => each.connectionId), [present]);
    expect(approvalCount.value).toBe(present === null ? 0 : 1);
  }
});
