/** Settings of `PROXY_CONFIG` that a Worker must apply like every other runtime. */
import { expect, test, vi } from "vitest";
import { workerSecrets } from "../runtimes/workerd-launcher.ts";
import { environmentRow } from "../support/environment-row.ts";
import { startFakeIsolate } from "./fake-isolate.ts";

vi.mock("cloudflare:workers", async () => (await import("./fake-isolate.ts")).workersModule);

test.each([
  [{}, 200, undefined],
  [{ approvals: { deniedTools: ["Bash"] } }, 403, "insufficient_scope"],
])(
  "a Worker with the configuration %j responds with %i to a decision that grants a lasting permission",
  async (config, status, errorCode) => {
    const row = environmentRow("1");
    const upstream = (request: Request): Response =>
      Response.json(
        request.method === "POST" ? { success: true, message: "sent" } : { connections: [row], hasNextPage: false },
      );
    const isolate = await startFakeIsolate(upstream, config);
    const post = async (path: string, token: string, body: object): Promise<Response> =>
      isolate.fetch(path, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    const created = await post("/admin/v1/keys", workerSecrets.ADMIN_TOKEN, { name: "k", scopes: ["send", "approve"] });
    const { key } = (await created.json()) as { readonly key: string };
    const approval = { type: "approval", tool_call_id: "call-1", approve: true };
    const lasting = { ...approval, selected_permission_suggestion_ids: ["always"] };
    const messages = [{ type: "approval", approvals: [lasting], client_message_id: "m-1" }];
    const response = await post(`/v1/environments/${row.connectionId}/messages`, key, { agentId: "agent-1", messages });
    const { errorCode: found } = (await response.json()) as { readonly errorCode?: string };
    expect([response.status, found]).toEqual([status, errorCode]);
  },
);
