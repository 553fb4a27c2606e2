/** The simulation is able to fail: it finds each of these bugs within a few seeds. */
import { expect, test } from "vitest";
import type { PlainResponse } from "@letta-environments/schema";
import { jsonResponse, problemResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "../../src/http/gateway-request.ts";
import type { Pipeline } from "../../src/pipeline.ts";
import type { PlantedBugs } from "./gateway.ts";
import { runSeed } from "./run-seed.ts";
import type { WorldKind } from "./world.ts";

const maxSeeds = 60;

/** Runs seeds until one fails, and returns its violations. */
async function findViolations(kind: WorldKind, plant: PlantedBugs): Promise<string> {
  for (let seed = 1; seed <= maxSeeds; seed++) {
    const { violations } = await runSeed({ seed, steps: 200, kind, plant });
    if (violations.length > 0) return violations.join("\n");
  }
  return "none";
}

/** Changes responses on their way to the caller. */
function changeResponses(change: (request: GatewayRequest, response: PlainResponse) => PlainResponse): PlantedBugs {
  return {
    pipeline: (pipeline: Pipeline): Pipeline => ({
      ...pipeline,
      handle: async (request) => change(request, await pipeline.handle(request)),
    }),
  };
}

const isSend = ({ method, path }: GatewayRequest): boolean => method === "POST" && path.endsWith("/messages");

test("a store that forgets reservations runs messages twice", async () => {
  const found = await findViolations("embedded", {
    environmentStore: (store) => ({
      ...store,
      findMessages: () => Promise.resolve([]),
      reserve: () => Promise.resolve(true),
    }),
  });
  expect(found).toMatch(/was delivered twice/);
});

test("a store of sends that forgets reservations delivers messages twice to a remote upstream", async () => {
  const found = await findViolations("remote", {
    idempotencyStore: (store) => ({ ...store, reserve: () => Promise.resolve({ kind: "reserved" }) }),
  });
  expect(found).toMatch(/was delivered twice/);
});

test("a store of sends that releases ids too early delivers messages twice to a remote upstream", async () => {
  const found = await findViolations("remote", {
    idempotencyStore: (store) => ({ ...store, settle: (reservation) => store.release(reservation) }),
  });
  expect(found).toMatch(/was delivered twice/);
});

test("a store that loses reservations at a crash runs messages twice", async () => {
  const found = await findViolations("embedded", {
    environmentStore(store) {
      const reserved = new Set<string>();
      return {
        ...store,
        findMessages: (scope, ids) =>
          Promise.resolve(
            ids
              .filter((id) => reserved.has(JSON.stringify([scope, id])))
              .map((messageId) => ({
                messageId,
                deliveryId: "msg-lost",
                fingerprint: "",
                outcome: { kind: "unknown" } as const,
              })),
          ),
        reserve({ scope, messageIds }) {
          for (const id of messageIds) reserved.add(JSON.stringify([scope, id]));
          return Promise.resolve(true);
        },
      };
    },
  });
  expect(found).toMatch(/was delivered twice|message_id_reused/);
});

test("an upstream adapter that repeats a POST delivers messages twice", async () => {
  const found = await findViolations("remote", {
    upstreamFetch: (fetch) => async (request, signal) => {
      const response = await fetch(request, signal);
      return "reason" in response && response.reason === "broken" ? fetch(request, signal) : response;
    },
  });
  expect(found).toMatch(/was delivered twice/);
});

test("an audit log that is written after the send has no record at the time of delivery", async () => {
  const found = await findViolations("embedded", {
    auditChains: (chains) => ({ ...chains, insert: () => undefined, saveHead: () => undefined }),
  });
  expect(found).toMatch(/before its send_started was durable/);
});

test("an audit log that is changed afterwards is reported as damaged", async () => {
  const found = await findViolations("embedded", {
    auditChains: (chains) => ({
      ...chains,
      insert: (record) => chains.insert({ ...record, text: record.text.replace('"status":403', '"status":200') }),
    }),
  });
  expect(found).toMatch(/the audit log is damaged/);
});

test("a rate limiter that admits everything exceeds its limits", async () => {
  const outcome = { admitted: true, decisions: [], constrained: null, degraded: null };
  const found = await findViolations("embedded", { rateLimitStore: (store) => ({ ...store, take: () => outcome }) });
  expect(found).toMatch(/exceed the limit/);
});

test("a cache that all tenants share shows data of another tenant", async () => {
  let cached: PlainResponse | null = null;
  const found = await findViolations(
    "embedded",
    changeResponses(({ method, path }, response) => {
      if (method !== "GET" || path !== "/v1/environments" || response.status !== 200) return response;
      cached ??= response;
      return cached;
    }),
  );
  expect(found).toMatch(/received data of/);
});

test("a refusal that says nothing was sent, for a message that was sent, is detected", async () => {
  const offline = problemResponse("device_offline");
  const found = await findViolations(
    "embedded",
    changeResponses((request, response) => (isSend(request) && response.status === 504 ? offline : response)),
  );
  expect(found).toMatch(/every response says that nothing was sent/);
});

test("an unknown outcome without a fault is detected", async () => {
  const unknown = problemResponse("delivery_unknown");
  const found = await findViolations(
    "embedded",
    changeResponses((request, response) => (isSend(request) && response.status === 200 ? unknown : response)),
  );
  expect(found).toMatch(/although no acknowledgement was lost/);
});

test("a success for a message that no device received is detected", async () => {
  const success = jsonResponse(200, { success: true });
  const found = await findViolations(
    "embedded",
    changeResponses((request, response) => (isSend(request) && response.status === 409 ? success : response)),
  );
  expect(found).toMatch(/which no device received|rejected/);
});

test("an error without a code is not a typed outcome", async () => {
  const found = await findViolations(
    "embedded",
    changeResponses((request, response) =>
      isSend(request) && response.status === 504 ? { status: 500, headers: {}, body: "oops" } : response,
    ),
  );
  expect(found).toMatch(/without an errorCode/);
});

test("a request that never gets a response is detected at the end", async () => {
  const found = await findViolations("embedded", {
    pipeline: (pipeline) => ({
      ...pipeline,
      handle: (request) =>
        request.path === "/v1/environments" ? new Promise(() => undefined) : pipeline.handle(request),
    }),
  });
  expect(found).toMatch(/requests are left/);
});

const unfinishedState = /"state":"(?:queued|running|waiting_for_approval)"/;

test("a status that is ahead of the device is detected", async () => {
  const found = await findViolations(
    "conversations",
    changeResponses((request, response) => {
      if (request.method !== "GET" || !/\/messages\//.test(request.path) || response.status !== 200) return response;
      return { ...response, body: String(response.body).replace(unfinishedState, '"state":"finished"') };
    }),
  );
  expect(found).toMatch(/is reported as .*"state":"finished"/);
});

test("reporting a late second decision as successful contradicts the decision that the device applied", async () => {
  const found = await findViolations(
    "conversations",
    changeResponses((_request, response) =>
      String(response.body).includes('"errorCode":"approval_decided"')
        ? jsonResponse(200, { success: true })
        : response,
    ),
  );
  expect(found).toMatch(/200 for (?:allow|deny) of call-/);
});

test("a relay that mixes up agents shows viewers what they may not see", async () => {
  const found = await findViolations("conversations", {
    pipeline: (pipeline) => ({
      ...pipeline,
      async upgrade(request) {
        const decision = await pipeline.upgrade(request);
        if (decision.kind === "refused" || !request.path.endsWith("/status/ws")) return decision;
        const attach: typeof decision.attach = (socket) =>
          decision.attach({ ...socket, send: (text) => socket.send(text.replaceAll('"agent-1"', '"agent-2"')) });
        return { ...decision, attach };
      },
    }),
  });
  expect(found).toMatch(/is shown a frame of agent-2, which it may not see/);
});

test("a change log that omits a change makes a resuming reader miss an event", async () => {
  const found = await findViolations("conversations", {
    environmentStore: (store) => ({
      ...store,
      async readChanges(selection) {
        const page = await store.readChanges(selection);
        return { ...page, changes: page.changes.length < 3 ? page.changes : page.changes.slice(1) };
      },
    }),
  });
  expect(found).toMatch(/event \d+ of .* is .*, and stored is/s);
});

test("a change log that repeats a change makes a resuming reader receive an event twice", async () => {
  const found = await findViolations("conversations", {
    environmentStore: (store) => ({
      ...store,
      readChanges: (selection) => store.readChanges({ ...selection, after: Math.max(0, selection.after - 1) }),
    }),
  });
  expect(found).toMatch(/received twice/);
});
