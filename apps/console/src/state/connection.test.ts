/** The state of the connection, as the header of the page shows it. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  json,
  openStream,
  type PageRequest,
  problem,
  report,
  type Respond,
  rowOf,
  sessionOf,
  stubPage,
} from "../../test/support/page.ts";

let opened = 0;
let events: Respond;

const openEvents = (request: PageRequest): Response => {
  opened += 1;
  return openStream(request).response;
};

beforeEach(() => {
  vi.useFakeTimers();
  [opened, events] = [0, openEvents];
  stubPage((request) => {
    if (request.path === "/console/session") return json(200, sessionOf("a", ["list", "read"]));
    if (request.path.startsWith("/v1/environments/events")) return events(request);
    return json(200, { connections: [rowOf("1")], hasNextPage: false });
  });
});

afterEach(async () => {
  await (await import("./session.ts")).signOut();
  vi.useRealTimers();
});

/** Opens the page as a signed-in user. */
async function open() {
  const [api, environments, session] = await Promise.all([
    import("./api.ts"),
    import("./environments.ts"),
    import("./session.ts"),
  ]);
  environments.followSessions();
  await session.signIn({ key: "a" });
  return { api, environments };
}

const settled = <Value>(read: () => Value, expected: Value): Promise<void> =>
  vi.waitFor(() => expect(read()).toEqual(expected), { timeout: 10_000 });

test.each([
  ["lost", "device_not_allowed"],
  ["refused", "insufficient_scope"],
] as const)(
  "a stream that is %s (%s) is shown with its reason, retried, and live when it works again",
  async (state, code) => {
    let tries = 0;
    events = () => {
      tries += 1;
      return problem(403, code, "Not this key.");
    };
    const { api, environments } = await open();
    await settled(() => api.connection.value, state);
    expect(api.connectionFailure.value).toBe("Not this key.");
    await settled(() => environments.rows.value.size, 1);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(tries).toBeGreaterThan(3);
    expect(tries).toBeLessThan(40);
    events = openEvents;
    await vi.advanceTimersByTimeAsync(60_000);
    await settled(() => api.connection.value, "live");
    expect(api.connectionFailure.value).toBe(null);
  },
);

test("a stream is not live while the gateway is silent, and is lost when the gateway does not respond", async () => {
  const { api } = await open();
  await settled(() => api.connection.value, "live");
  events = () => new Promise(() => undefined);
  await vi.advanceTimersByTimeAsync(46_000);
  expect(api.connection.value).toBe("connecting");
  await vi.advanceTimersByTimeAsync(15_000);
  expect(api.connection.value).toBe("lost");
  events = openEvents;
  await vi.advanceTimersByTimeAsync(40_000);
  await settled(() => api.connection.value, "live");
});

test("when the browser is offline, the connection is checked immediately and is lost unless the gateway is on this machine", async () => {
  const { api } = await open();
  await settled(() => api.connection.value, "live");
  report("offline");
  await settled(() => opened, 2);
  await settled(() => api.connection.value, "live");
  events = () => {
    throw new TypeError("Failed to fetch");
  };
  report("offline");
  await settled(() => api.connection.value, "lost");
  events = openEvents;
  report("online");
  await settled(() => api.connection.value, "live");
  expect(opened).toBe(3);
});
