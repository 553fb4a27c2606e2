/** Prints, as JSON, the CPU microseconds of a list and of a send by each client, over an injected fetch: slices that take turns. */
import process from "node:process";
import Letta from "@letta-ai/letta-client";
import { createTransport, listEnvironments, sendMessage } from "@letta-environments/client";
import ky from "ky";
import createOpenapiClient from "openapi-fetch";

const row = {
  id: "env-1",
  connectedAt: 1_800_000_000_000,
  connectionId: "conn-1",
  connectionName: "box",
  deviceId: "d-1",
  firstSeenAt: 1_800_000_000_000,
  lastHeartbeat: 1_800_000_000_000,
  lastSeenAt: 1_800_000_000_000,
  organizationId: "org-1",
  podId: "pod-1",
  currentMode: "default",
  metadata: { gitBranch: "main", lettaCodeVersion: "0.32.18", os: "linux", workingDirectory: "/work" },
};
const page = JSON.stringify({ connections: [row, row, row], hasNextPage: false });
const taken = JSON.stringify({ success: true, message: "Message sent" });
const headers = { "content-type": "application/json" };
const answer = async (input?: unknown, init?: RequestInit): Promise<Response> => {
  const method = init?.method ?? (input instanceof Request ? input.method : "GET");
  return new Response(method === "GET" ? page : taken, { headers });
};
const baseUrl = "http://127.0.0.1:1";
const authorization = { authorization: "Bearer key" };

const transport = createTransport({ baseUrl, apiKey: "key", fetch: answer });
const official = new Letta({ baseURL: baseUrl, apiKey: "key", fetch: answer });
const openapi = createOpenapiClient<Record<string, never>>({ baseUrl, fetch: answer, headers: authorization });
const list = openapi.GET as unknown as (path: string) => Promise<unknown>;
const post = openapi.POST as unknown as (path: string, options: { body: unknown }) => Promise<unknown>;
const kyClient = ky.create({ fetch: answer, headers: authorization });

const path = "/v1/environments/conn-1/messages";
const user = { role: "user" as const, content: "Run the tests, and tell me what fails. ".repeat(25) };
const body = { agentId: "agent-1", messages: [{ ...user, client_message_id: "message-1" }] };

const clients: Readonly<Record<string, Readonly<Record<string, () => Promise<unknown>>>>> = {
  list: {
    "raw fetch": async () => (await answer()).json(),
    ours: () => listEnvironments(transport),
    "openapi-fetch 0.17": () => list("/v1/environments"),
    "ky 2.1": () => kyClient.get(`${baseUrl}/v1/environments`).json(),
    "official SDK 1.12.1": () => official.environments.list(),
  },
  send: {
    "raw fetch": async () => (await answer(path, { method: "POST", headers, body: JSON.stringify(body) })).json(),
    ours: () => sendMessage(transport, "conn-1", body),
    "openapi-fetch 0.17": () => post(path, { body }),
    "ky 2.1": () => kyClient.post(`${baseUrl}${path}`, { json: body }).json(),
    "official SDK 1.12.1": () => official.environments.sendMessage("conn-1", body),
  },
};

const slices = 60;
const callsPerSlice = 500;
const samples: Record<string, Record<string, number[]>> = { list: {}, send: {} };
for (let slice = 0; slice < slices; slice += 1) {
  for (const [operation, calls] of Object.entries(clients)) {
    for (const [name, call] of Object.entries(calls)) {
      const before = process.cpuUsage();
      for (let count = 0; count < callsPerSlice; count += 1) await call();
      const { user: inProgram, system } = process.cpuUsage(before);
      // The first slices are the compiler's.
      if (slice >= 10) ((samples[operation] ??= {})[name] ??= []).push((inProgram + system) / callsPerSlice);
    }
  }
}
process.stdout.write(JSON.stringify(samples));
