/**
 * A fake of the vendor's agents API, as far as a device with the API backend needs it for turns, approvals and stops (observed with
 * 0.32.18). `turn.ts` has its behaviour in a turn. Other paths are 404, which a device tolerates for its other look-ups.
 */
import type { ServerResponse } from "node:http";
import { createFakeUpstream } from "../fake-upstream.ts";
import { eventsOf, planTurn, type TurnPlan } from "./turn.ts";

/** A request for a turn that the API received. */
export interface SeenTurn {
  readonly conversationId: string;
  readonly messages: readonly unknown[];
  readonly plan: TurnPlan;
}

/** A running fake of the agents API. */
export interface FakeAgentsApi {
  readonly url: string;
  /** Method and path of every request that arrived completely, in order. */
  readonly requests: readonly string[];
  readonly turns: readonly SeenTurn[];
  close(): Promise<void>;
}

/** Starts a {@link FakeAgentsApi} on loopback. Every agent and every conversation exists. */
export async function createFakeAgentsApi(): Promise<FakeAgentsApi> {
  const requests: string[] = [];
  const turns: SeenTurn[] = [];

  function runTurn(conversationId: string, body: string, response: ServerResponse): void {
    let messages: unknown;
    try {
      ({ messages } = JSON.parse(body) as { readonly messages?: unknown });
    } catch {
      // No device sends this.
      return void response.destroy();
    }
    const plan = planTurn(messages);
    turns.push({ conversationId, messages: Array.isArray(messages) ? messages : [], plan });
    if (plan.kind === "fail") return respond(response, 400, { detail: "The fake agents API fails as requested" });
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    response.flushHeaders();
    // The response of a hanging turn ends with its connection.
    if (plan.kind === "hang") return;
    for (const event of eventsOf(plan, `run-${turns.length}`)) response.write(`data: ${JSON.stringify(event)}\n\n`);
    response.end("data: [DONE]\n\n");
  }

  const { url, close } = await createFakeUpstream(({ method, target, body }, response) => {
    const { pathname } = new URL(target, "http://127.0.0.1");
    requests.push(`${method} ${pathname}`);
    const turn = method === "POST" ? /^\/v1\/conversations\/([^/]+)\/messages$/.exec(pathname) : null;
    if (turn !== null) return runTurn(turn[1] ?? "", body, response);
    const found = bodyOf(method, pathname);
    respond(response, found === null ? 404 : 200, found ?? { detail: "Not found" });
  });
  return { url, requests, turns, close };
}

/** The body of a response that is not a turn; `null` for 404. */
function bodyOf(method: string, path: string): unknown {
  const [, kind, id = "", rest = ""] = /^\/v1\/(agents|conversations)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
  if (kind === "agents" && rest === "")
    return {
      id,
      name: "Fake",
      tags: [],
      tools: [],
      blocks: [],
      llm_config: model,
      model: "anthropic/claude-sonnet-4-5",
    };
  if (kind === "conversations" && rest === "" && method === "GET") return { id, agent_id: null };
  if (method === "POST" && /^(?:\/messages)?\/cancel$/.test(rest)) return {};
  if (kind === "agents" && /^\/(?:secrets|mcp-servers|repositories)$/.test(rest)) return [];
  return null;
}

const model = { model: "claude-sonnet-4-5", model_endpoint_type: "anthropic", context_window: 200_000 };

function respond(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
