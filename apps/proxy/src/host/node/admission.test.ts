import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createAdmission, isAdmitted, priorityOfRequest } from "./admission.ts";
import type { OverloadReport } from "./overload-report.ts";

describe("the priority of requests", () => {
  test.each([
    ["POST", "/v1/environments/c/messages", 0],
    ["POST", "/v1/environments/register", 0],
    ["GET", "/v1/environments/d", 1],
    ["GET", "/v1/ratelimit", 1],
    ["GET", "/v1/environments", 2],
    ["HEAD", "/v1/environments?limit=1", 2],
    ["OPTIONS", "/v1/environments", null],
    ["GET", "/livez", null],
    ["GET", "/readyz", null],
    ["POST", "/admin/v1/keys", null],
  ])("the priority of %s %s is %s", (method, target, expected) => {
    expect(priorityOfRequest(method, target)).toBe(expected);
  });
});

describe("refusals under overload", () => {
  test("lists are refused first under overload, then reads of a device, then messages", () => {
    const load = (inFlight: number, busyMs = 0) =>
      ([0, 1, 2] as const).map((priority) => isAdmitted(priority, { inFlight, busyMs, admittedMeanwhile: 64 }, 100));
    expect([0, 69, 70, 84, 85, 99, 100].map((inFlight) => load(inFlight).filter(Boolean).length)).toEqual([
      3, 3, 2, 2, 1, 1, 0,
    ]);
    expect([0, 49, 50, 99, 100, 199, 200].map((busyMs) => load(0, busyMs).filter(Boolean).length)).toEqual([
      3, 3, 2, 2, 1, 1, 0,
    ]);
  });

  test("a request is never refused under overload while a less important one would be admitted", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(300), fc.integer({ min: 1, max: 200 }), (inFlight, busyMs, maxInFlight) => {
        const [send, device, list] = ([0, 1, 2] as const).map((priority) =>
          isAdmitted(priority, { inFlight, busyMs, admittedMeanwhile: 64 }, maxInFlight),
        );
        expect([!list || device, !device || send]).toEqual([true, true]);
      }),
    );
  });
});

function createWorld(maxConnections: number) {
  const clock = createVirtualClock();
  const reports: OverloadReport[] = [];
  const admission = createAdmission({ clock, maxConnections, onOverload: (report) => void reports.push(report) });
  return {
    clock,
    reports,
    admission,
    connect(): Socket & { isDestroyed: boolean } {
      const socket = Object.assign(new EventEmitter(), { isDestroyed: false, destroy: () => undefined });
      socket.destroy = () => {
        socket.isDestroyed = true;
        socket.emit("close");
      };
      admission.accept(socket as unknown as Socket);
      return socket as unknown as Socket & { isDestroyed: boolean };
    },
    ask(method = "POST", url = "/v1/environments/c/messages", socket?: Socket) {
      const outgoing = Object.assign(new EventEmitter(), { shouldKeepAlive: true });
      const refusal = admission.admit(
        { method, url, socket } as IncomingMessage,
        outgoing as unknown as ServerResponse,
      );
      return { outgoing, status: refusal?.status ?? null };
    },
  };
}

describe("admission", () => {
  test("admission refuses requests over the limit with 503 and Retry-After, until a request has ended", () => {
    const { ask } = createWorld(2);
    const first = ask();
    ask();
    expect(ask().status).toBe(503);
    expect(ask("GET", "/livez").status).toBeNull();
    first.outgoing.emit("close");
    expect(ask().status).toBeNull();
  });

  test("admission closes connections over the limit, and reserves the last fifth for callers and single requests", () => {
    const { connect, ask, admission } = createWorld(10);
    const sockets = Array.from({ length: 8 }, connect);
    expect([admission.admitSocket({}), ask().outgoing.shouldKeepAlive]).toEqual([true, true]);
    sockets.push(connect(), connect());
    expect([admission.admitSocket({}), ask().outgoing.shouldKeepAlive]).toEqual([false, false]);
    for (const socket of sockets.slice(0, 3)) socket.emit("close");
    expect(connect().isDestroyed).toBe(false);
    expect(admission.admitSocket({})).toBe(true);
  });

  test("admission refuses the request of a connection over the limit, and closes the connection when none comes in a second", async () => {
    const { connect, ask, clock } = createWorld(1);
    connect();
    const [asking, silent, probing] = [connect(), connect(), connect()];
    const { status, outgoing } = ask("GET", "/v1/environments", asking);
    expect([status, outgoing.shouldKeepAlive]).toEqual([503, false]);
    const probe = ask("GET", "/livez", probing);
    expect([probe.status, probe.outgoing.shouldKeepAlive]).toEqual([null, false]);
    await clock.advance(1_000);
    expect([asking, silent, probing].map(({ isDestroyed }) => isDestroyed)).toEqual([false, true, false]);
  });

  test("admission closes a connection over the limit immediately while 16 others wait for their refusal", async () => {
    const { connect, clock } = createWorld(1);
    connect();
    const waiting = Array.from({ length: 16 }, connect);
    expect([...waiting, connect()].map(({ isDestroyed }) => isDestroyed).indexOf(true)).toBe(16);
    await clock.advance(1_000);
    expect([waiting.every(({ isDestroyed }) => isDestroyed), connect().isDestroyed]).toEqual([true, false]);
  });

  test("admission refuses requests behind 200 ms of work in one turn of the event loop, and admits them in the next turn", async () => {
    let nowMs = 0;
    const clock = { monotonic: () => nowMs, setTimer: () => () => undefined };
    const admission = createAdmission({ clock, maxConnections: 1_000, onOverload: () => undefined });
    const incoming = { method: "POST", url: "/v1/environments/c/messages" } as IncomingMessage;
    const statusAt = (atMs: number): number | null => {
      nowMs = atMs;
      return admission.admit(incoming, new EventEmitter() as ServerResponse)?.status ?? null;
    };
    // A machine that stops the process for a while is no overload.
    expect([0, 300].map(statusAt)).toEqual([null, null]);
    for (let count = 0; count < 62; count++) expect(statusAt(199)).toBeNull();
    expect([199, 200, 400].map(statusAt)).toEqual([null, 503, 503]);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(statusAt(401)).toBeNull();
  });

  test("admission reports at most once a second how many requests were refused", async () => {
    const { clock, connect, ask, reports } = createWorld(1);
    connect();
    connect();
    ask();
    for (let count = 0; count < 5; count++) ask();
    await clock.advance(1_000);
    expect(reports).toEqual([{ refusedRequests: 5, closedConnections: 1, inFlight: 1 }]);
    await clock.advance(5_000);
    expect(reports).toHaveLength(1);
  });

  test("sockets and streams of events that are refused for lack of connections are reported like other refused requests", async () => {
    const { clock, connect, ask, admission, reports } = createWorld(10);
    const events = "/v1/environments/events";
    for (let count = 0; count < 8; count++) connect();
    expect([admission.admitSocket({}), ask("GET", events).status]).toEqual([true, null]);
    connect();
    expect([admission.admitSocket({}), admission.admitSocket({})]).toEqual([false, false]);
    const targets = [`${events}?include=output`, `http://gateway.example${events}`];
    expect(targets.map((target) => ask("GET", target).status)).toEqual([503, 503]);
    // These have no stream.
    expect([ask("HEAD", events).status, ask("GET", "/v1/environments/device-1").status]).toEqual([null, null]);
    await clock.advance(1_000);
    expect(reports).toMatchObject([{ refusedRequests: 4, closedConnections: 0 }]);
  });
});
