/**
 * The client in a Cloudflare Worker: `GET /devices` lists the names of the devices that are online, and `POST /tasks` sends a task to one.
 * Bindings are the address of the gateway and a key, as a secret.
 */
import { createClient, isLettaEnvironmentsError } from "@letta-environments/client";

interface Bindings {
  readonly LETTA_BASE_URL: string;
  readonly LETTA_API_KEY: string;
}

async function respond(
  request: Request,
  { LETTA_BASE_URL: baseUrl, LETTA_API_KEY: apiKey }: Bindings,
): Promise<Response> {
  const { environments } = createClient({ baseUrl, apiKey });
  const { pathname } = new URL(request.url);
  if (request.method === "GET" && pathname === "/devices") {
    const { connections } = await environments.list({ onlineOnly: true });
    return Response.json(connections.map(({ connectionName }) => connectionName));
  }
  if (request.method === "POST" && pathname === "/tasks") {
    const { device, agentId, task } = (await request.json()) as { device: string; agentId: string; task: string };
    const body = { messages: [{ role: "user", content: task }], agentId } as const;
    const { outcome, clientMessageIds } = await environments.sendToDevice({ name: device }, body);
    return Response.json({ outcome, clientMessageIds }, { status: 202 });
  }
  return new Response("not found", { status: 404 });
}

export default {
  async fetch(request: Request, bindings: Bindings): Promise<Response> {
    try {
      return await respond(request, bindings);
    } catch (error) {
      if (!isLettaEnvironmentsError(error)) throw error;
      // A response of the gateway that cannot be used may have the status of a success.
      const status = error.status !== undefined && error.status >= 400 ? error.status : 502;
      return Response.json({ error: error.code, retryable: error.retryable }, { status });
    }
  },
};
