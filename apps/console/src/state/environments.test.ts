import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import {
  json,
  openStream,
  type PageRequest,
  type PageStream,
  problem,
  type Respond,
  rowOf,
  sessionOf,
  stubPage,
} from "../../test/support/page.ts";

let streams: PageStream[] = [];
let list: Respond;
let events: Respond;
let approvalList: Respond;
let signOut: Respond;

const openEvents = (request: PageRequest): Response => {
  const stream = openStream(request);
  streams.push(stream);
  return stream.response;
};
const page = (...rows: readonly object[]): Response => json(200, { connections: rows, hasNextPage: false });
const approvalOf = (id: string): object => ({
  ...{
    id,
    deviceId: "device-1",
    connectionId: "c-1",
    agentId: "a",
    conversationId: "default",
    tool: "Bash",
    input: {},
  },
  ...{ reason: null, suggestions: [], inputTruncated: false, requestedAt: 1, expiresAt: null, ageMs: 0 },
});
const approvalPage = (...approvals: readonly object[]): Response => json(200, { approvals, hasNextPage: false });

beforeEach(() => {
  vi.useFakeTimers();
  streams = [];
  list = () => page(rowOf("1"));
  events = openEvents;
  signOut = () => json(200, {});
  approvalList = () => approvalPage(approvalOf("call-1"));
  stubPage((request) => {
    const { path, method, body } = request;
    if (path === "/console/session" && method === "DELETE") return signOut(request);
    if (path === "/console/session") return json(200, sessionOf((JSON.parse(body) as { key: string }).key, scopes));
    if (path.startsWith("/v1/environments/events")) return events(request);
    if (path.startsWith("/v1/environments/approvals")) return approvalList(request);
    return list(request);
  });
});

const scopes = ["list", "read", "approve"];

afterEach(async () => {
  signOut = () => json(200, {});
  await (await load()).session.signOut();
  vi.useRealTimers();
});

async function load() {
  const [api, approvals, environments, session] = await Promise.all([
    import("./api.ts"),
    import("./approvals.ts"),
    import("./environments.ts"),
    import("./session.ts"),
  ]);
  return { api, approvals, environments, session };
}

/** Opens the page as a user with a key. */
async function open(key: string): ReturnType<typeof load> {
  const loaded = await load();
  loaded.approvals.followApprovals(() => undefined);
  loaded.environments.followSessions();
  await loaded.session.signIn({ key });
  return loaded;
}

const settled = <Value>(read: () => Value, expected: Value): Promise<void> =>
  vi.waitFor(() => expect(read()).toEqual(expected), { timeout: 10_000 });

test("the data of a session is discarded when it ends, and never appears in the next one", async () => {
  const { approvals, environments, session } = await open("a");
  await settled(() => environments.rows.value.size, 1);
  await settled(() => approvals.approvalCount.value, 1);
  const message = { clientMessageId: "m", deviceId: "device-1", agentId: "a", conversationId: "default" };
  const status = { ...message, state: "accepted", disposition: "queued" };
  streams[0]?.write({ type: "message", id: "e-1", deviceId: "device-1", connectionId: "c", message: status });
  await settled(() => environments.queued.value.size, 1);

  await session.signOut();
  expect(environments.rows.value.size).toBe(0);
  expect(environments.queued.value.size).toBe(0);
  expect(environments.loading.value.kind).toBe("loading");
  expect(approvals.approvals.value).toEqual([]);

  list = () => problem(403, "insufficient_scope", "The key lacks the scope list.");
  approvalList = () => problem(403, "insufficient_scope", "The key lacks the scope approve.");
  await session.signIn({ key: "b" });
  await settled(() => environments.loading.value, { kind: "error", text: "The key lacks the scope list." });
  await settled(() => approvals.approvalsFailure.value, "The key lacks the scope approve.");
  expect(environments.rows.value.size).toBe(0);
  expect(environments.queued.value.size).toBe(0);
  expect(approvals.approvals.value).toEqual([]);
});

test("nothing is requested while the user signs out, because the gateway would refuse it", async () => {
  const { api, environments, session } = await open("a");
  await settled(() => environments.rows.value.size, 1);
  let requests = 0;
  list = () => {
    requests += 1;
    return page();
  };
  let respond: (response: Response) => void = () => undefined;
  signOut = () => new Promise((resolve) => (respond = resolve));
  const signedOut = session.signOut();
  streams[0]?.end();
  const keys = api.administer("GET", "keys").catch(String);
  await vi.advanceTimersByTimeAsync(5_000);
  expect([streams.length, requests]).toEqual([1, 0]);
  respond(json(200, {}));
  await signedOut;
  expect(await keys).toBe("Error: You are signed out.");
  expect(session.session.value).toEqual({ kind: "signed_out", reason: "You are signed out." });
});

test("a sign-out that fails leaves the devices on the page, and they are followed again", async () => {
  const { environments, session } = await open("a");
  await settled(() => environments.rows.value.size, 1);
  signOut = () => problem(503, "key_store_unavailable", "The key store does not respond.");
  const signedOut = session.signOut();
  streams[0]?.end();
  await expect(signedOut).rejects.toThrow("The key store does not respond.");
  expect(environments.rows.value.size).toBe(1);
  await settled(() => streams.length, 2);
});

test("a late response to a request of the previous session changes nothing in the current one", async () => {
  const respond: ((response: Response) => void)[] = [];
  const late = (): Promise<Response> => new Promise((resolve) => respond.push(resolve));
  [list, approvalList] = [() => page(rowOf("1")), late];
  const { approvals, environments, session } = await open("a");
  await settled(() => respond.length, 1);
  await session.signOut();
  [list, approvalList] = [() => page(), () => approvalPage()];
  await session.signIn({ key: "b" });
  await settled(() => environments.loading.value.kind, "ready");
  respond[0]?.(approvalPage(approvalOf("call-1")));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(approvals.approvals.value).toEqual([]);
});

test("changes that arrive while the list is loading are in the result", async () => {
  let respond: (response: Response) => void = () => undefined;
  list = ({ path }) =>
    path.includes("after=")
      ? new Promise((resolve) => (respond = resolve))
      : json(200, { connections: [rowOf("1"), rowOf("2")], hasNextPage: true, cursor: "2" });
  const { environments } = await open("a");
  await settled(() => streams.length, 1);
  const change = (id: string, environment: object, more: object = {}): void =>
    streams[0]?.write({ type: "environment", id, environment, ...more });
  change("e-1", { id: "1", connectionId: "c-1", currentMode: "unrestricted" });
  change("e-2", { id: "2" }, { removed: true });
  change("e-3", rowOf("4"));
  await settled(() => environments.rows.value.has("4"), true);
  respond(json(200, { connections: [rowOf("3")], hasNextPage: false }));
  await settled(() => environments.loading.value.kind, "ready");
  expect([...environments.rows.value.keys()].toSorted()).toEqual(["1", "3", "4"]);
  expect(environments.rows.value.get("1")?.value).toMatchObject({ connectionId: "c-1", currentMode: "unrestricted" });
});

test("a device was last seen when it was connected, and not when something else about it changes", async () => {
  const openedAt = Date.now();
  list = () => page(...["1", "2", "3"].map((id) => rowOf(id, id === "2" ? { connectionId: "c-2" } : {})));
  const { environments } = await open("a");
  await settled(() => environments.rows.value.size, 3);
  const change = (id: string, members: object): void =>
    streams[0]?.write({ type: "environment", id: `e-${id}`, environment: { id, ...members } });
  change("1", { displayName: "renamed", connectionId: null });
  change("2", { connectionId: null });
  change("3", { connectionId: "c-3" });
  await settled(() => environments.rows.value.get("3")?.value.connectionId, "c-3");
  const seen = (id: string): number => environments.rows.value.get(id)?.value.lastSeenAt ?? 0;
  expect(environments.rows.value.get("1")?.value.displayName).toBe("renamed");
  expect(seen("1")).toBe(1);
  expect(seen("2")).toBeGreaterThanOrEqual(openedAt);
  expect(seen("3")).toBeGreaterThanOrEqual(openedAt);
});

test("a list that could not be read is read again while the events arrive", async () => {
  list = () => problem(403, "insufficient_scope", "Not yet.");
  const { environments } = await open("a");
  await settled(() => environments.loading.value, { kind: "error", text: "Not yet." });
  list = () => page(rowOf("1"));
  await vi.advanceTimersByTimeAsync(60_000);
  await settled(() => environments.rows.value.size, 1);
  expect(environments.loading.value.kind).toBe("ready");
});

test.each([
  ["was read", () => page(rowOf("1")), "ready"],
  ["could not be read", () => problem(403, "insufficient_scope", "Not yet."), "error"],
] as const)("an event is not kept after it was applied, after the list %s", async (_outcome, respond, kind) => {
  list = respond;
  const { environments } = await open("a");
  await settled(() => environments.loading.value.kind, kind);
  const applied: WeakRef<object>[] = [];
  environments.addFollower({
    onEvents: (given) => applied.push(...given.map((event) => new WeakRef(event))),
    refresh: () => undefined,
    forget: () => undefined,
  });
  // The loop that reads the stream has the last one in its hand.
  for (const id of ["e-1", "e-2"]) streams[0]?.write({ type: "environment", id, environment: { id: "1" } });
  await settled(() => applied.length, 2);
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  await vi.waitFor(
    () => {
      collectGarbage();
      // Not the event itself: the error of a failed expectation would keep it.
      expect(applied[0]?.deref() === undefined).toBe(true);
    },
    { timeout: 10_000 },
  );
});

test("a list that cannot be read is read again by one loop, however often events are missing", async () => {
  let reads = 0;
  list = () => {
    reads += 1;
    return problem(403, "insufficient_scope", "Not yet.");
  };
  const { environments } = await open("a");
  await settled(() => environments.loading.value.kind, "error");
  for (const count of [2, 3, 4]) {
    streams[0]?.write({ type: "gap", id: "" });
    // At once, since what the page shows is known to be old.
    await settled(() => reads, count);
  }
  await vi.advanceTimersByTimeAsync(35_000);
  expect(reads).toBe(5);
});

test("if events are missed while the list loads, the list is still shown, and loaded once more", async () => {
  const respond: ((response: Response) => void)[] = [];
  list = () => new Promise((resolve) => respond.push(resolve));
  const { environments } = await open("a");
  await settled(() => respond.length, 1);
  for (const id of ["e-1", "e-2", "e-3"]) streams[0]?.write({ type: "gap", id });
  streams[0]?.write({ type: "environment", id: "e-4", environment: rowOf("9") });
  await settled(() => environments.rows.value.has("9"), true);
  expect(respond).toHaveLength(1);
  respond[0]?.(page(rowOf("1")));
  await settled(() => environments.rows.value.has("1"), true);
  expect(environments.loading.value.kind).toBe("ready");
  await settled(() => respond.length, 2);
  respond[1]?.(page(rowOf("2")));
  await settled(() => environments.rows.value.has("2"), true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(respond).toHaveLength(2);
});

test("a list does not undo requests for permission that were made or decided while it was loading", async () => {
  let respond: (response: Response) => void = () => undefined;
  let isRead = false;
  approvalList = () => {
    isRead = true;
    return new Promise((resolve) => (respond = resolve));
  };
  const { approvals } = await open("a");
  await settled(() => isRead, true);
  streams[0]?.write({ type: "approval", id: "e-1", change: "decided", approval: approvalOf("call-1") });
  streams[0]?.write({ type: "approval", id: "e-2", change: "requested", approval: approvalOf("call-3") });
  await settled(() => approvals.approvalCount.value, 1);
  respond(approvalPage(approvalOf("call-1"), approvalOf("call-2")));
  await settled(() => approvals.approvalCount.value, 2);
  expect(approvals.approvals.value.map(({ id }) => id).toSorted()).toEqual(["call-2", "call-3"]);
});

test.each([
  ["endpoint_not_found", 404, "polling"],
  ["method_not_allowed", 405, "polling"],
  ["environment_not_found", 404, "polling"],
] as const)(
  "a gateway without events (%s) is polled, and its stream is not tried again",
  async (code, status, kind) => {
    let tries = 0;
    events = () => {
      tries += 1;
      return problem(status, code);
    };
    const { api, environments } = await open("a");
    await settled(() => api.connection.value, kind);
    list = () => page(rowOf("1"), rowOf("2"));
    await vi.advanceTimersByTimeAsync(5_000);
    await settled(() => environments.rows.value.size, 2);
    await vi.advanceTimersByTimeAsync(120_000);
    expect(tries).toBe(1);
  },
);

test("after a lost connection the page reconnects on demand, keeps its contents, and misses no event", async () => {
  // Otherwise the page may connect again by itself just before it is asked to.
  const random = vi.spyOn(Math, "random").mockReturnValue(0.99);
  onTestFinished(() => random.mockRestore());
  const { api, environments } = await open("a");
  await settled(() => environments.rows.value.size, 1);
  streams[0]?.write({ type: "environment", id: "e-7", environment: rowOf("2") });
  await settled(() => environments.rows.value.size, 2);
  events = () => problem(503, "overloaded");
  streams[0]?.end();
  await settled(() => api.connection.value, "lost");
  const seen: (string | null)[] = [];
  events = (request) => {
    seen.push(new Headers(request.headers).get("last-event-id"));
    return openEvents(request);
  };
  environments.reconnect();
  expect(environments.rows.value.size).toBe(2);
  await settled(() => api.connection.value, "live");
  expect(seen).toEqual(["e-7"]);
});

test("the stream of one device that does not open does not mean that the connection is lost", async () => {
  const { api } = await open("a");
  await settled(() => api.connection.value, "live");
  events = () => problem(503, "overloaded");
  const { openConversations } = await import("./conversations.ts");
  const conversations = openConversations("device-1");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(api.connection.value).toBe("live");
  conversations.close();
});

test("the conversation of a device continues after its last event when a refused stream opens again", async () => {
  await open("a");
  const { openConversations } = await import("./conversations.ts");
  const seen: string[] = [];
  let isRefused = false;
  events = (request) => {
    if (!request.path.includes("deviceId=")) return openEvents(request);
    seen.push(new Headers(request.headers).get("last-event-id") ?? "");
    return isRefused ? problem(403, "device_not_allowed", "Not this device.") : openEvents(request);
  };
  const conversations = openConversations("device-2");
  await settled(() => seen.length, 1);
  const message = { clientMessageId: "m", deviceId: "device-2", agentId: "a", conversationId: "default" };
  const stream = streams.at(-1);
  stream?.write({
    ...{ type: "message", id: "e-9", deviceId: "device-2", connectionId: "c" },
    message: { ...message, state: "running" },
  });
  await settled(() => conversations.all.value.size, 1);
  isRefused = true;
  stream?.end();
  await settled(() => conversations.failure.value, "What happens on the device is not shown: Not this device.");
  isRefused = false;
  await vi.advanceTimersByTimeAsync(60_000);
  await settled(() => conversations.failure.value, null);
  expect(new Set(seen.slice(1))).toEqual(new Set(["e-9"]));
  conversations.close();
});
