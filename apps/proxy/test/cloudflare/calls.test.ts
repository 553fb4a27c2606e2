import { beforeEach, expect, test, vi } from "vitest";
import { workerSecrets } from "../runtimes/workerd-launcher.ts";
import { environmentRow } from "../support/environment-row.ts";
import { type Calls, type FakeIsolate, startFakeIsolate } from "./fake-isolate.ts";

vi.mock("cloudflare:workers", async () => (await import("./fake-isolate.ts")).workersModule);

const row = environmentRow("1");
let isolate: FakeIsolate;
let authorization: string;

function upstream(request: Request): Response {
  const { pathname } = new URL(request.url);
  if (request.method === "POST") return Response.json({ success: true, message: "sent" });
  return Response.json(pathname === "/v1/environments" ? { connections: [row], hasNextPage: false } : row);
}

beforeEach(async () => {
  isolate = await startFakeIsolate(upstream);
  const created = await isolate.fetch("/admin/v1/keys", {
    method: "POST",
    headers: { authorization: `Bearer ${workerSecrets.ADMIN_TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "calls", scopes: ["list", "read", "send"] }),
  });
  authorization = `Bearer ${((await created.json()) as { readonly key: string }).key}`;
  await get("/v1/environments/unrelated");
  await isolate.takeCalls();
});

async function get(path: string): Promise<Response> {
  return isolate.fetch(path, { headers: { authorization } });
}

function send(id: string): Promise<Response> {
  return isolate.fetch("/v1/environments/conn-1/messages", {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ agentId: "agent-1", messages: [{ role: "user", content: "hi", client_message_id: id }] }),
  });
}

async function callsOf(request: Promise<Response>): Promise<Calls> {
  expect((await request).status).toBe(200);
  return isolate.takeCalls();
}

/** The number of calls of Durable Objects, and of the Cache API. */
function countCalls(calls: Calls): { readonly objects: number; readonly cache: number } {
  const count = (isCache: boolean): number =>
    Object.entries(calls).reduce((sum, [name, times]) => sum + (name.startsWith("cache.") === isCache ? times : 0), 0);
  return { objects: count(false), cache: count(true) };
}

test("a hit needs at most one Durable Object call and two Cache API calls, and a busy caller's hits need no Durable Object call", async () => {
  for (const path of ["/v1/environments", "/v1/environments/device-1"]) {
    await callsOf(get(path));
    let objects = 0;
    for (let request = 0; request < 50; request++) {
      const hit = countCalls(await callsOf(get(path)));
      expect(hit.objects).toBeLessThanOrEqual(1);
      expect(hit.cache).toBeLessThanOrEqual(2);
      objects += hit.objects;
    }
    expect(objects).toBeLessThan(10);
  }
});

test("a miss needs one Durable Object call for its limits and two to share its request with others", async () => {
  expect(await callsOf(get("/v1/environments/device-1"))).toEqual({
    ...{ "TENANTS.take": 1, "FLIGHTS.enter": 1, "FLIGHTS.settle": 1 },
    ...{ "cache.match": 3, "cache.put": 2 },
  });
});

test("a send needs three Durable Object calls: its limits, its reservation with the record of its start, and its end", async () => {
  for (const id of ["a", "b", "c"]) {
    expect(await callsOf(send(id))).toEqual({
      ...{ "TENANTS.take": 1, "TENANTS.reserve": 1, "TENANTS.conclude": 1 },
      ...{ "cache.delete": 2 },
    });
  }
});

test("a repeat of a send needs four Durable Object calls, and a send to an unknown connection three", async () => {
  await callsOf(send("a"));
  expect(countCalls(await callsOf(send("a"))).objects).toBe(4);
  const refused = await isolate.fetch("/v1/environments/conn-unknown/messages", {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ messages: [{ role: "user", content: "hi", client_message_id: "x" }] }),
  });
  expect(refused.status).toBe(404);
  expect(countCalls(await isolate.takeCalls()).objects).toBe(3);
});
