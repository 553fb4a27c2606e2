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

test("today", async () => {
  const show = async (name: string, work: Promise<Response>) => {
    const response = await work;
    console.log(name, response.status, response.headers.get("cache-status"), await isolate.takeCalls());
  };
  await show("miss", get("/v1/environments"));
  await show("hit", get("/v1/environments"));
  await show("miss", get("/v1/environments/device-1"));
  await show("hit", get("/v1/environments/device-1"));
  const send = (id: string) => isolate.fetch("/v1/environments/conn-1/messages", {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ agentId: "agent-1", messages: [{ role: "user", content: "hi", client_message_id: id }] }),
  });
  await show("send", send("a"));
  await show("send", send("b"));
  await show("repeat", send("b"));
});
