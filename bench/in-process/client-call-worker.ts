/** Prints, as JSON, the CPU microseconds of a list by each client, over an injected fetch: slices that take turns. */
import process from "node:process";
import Letta from "@letta-ai/letta-client";
import { createTransport, listEnvironments } from "@letta-environments/client";
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
const text = JSON.stringify({ connections: [row, row, row], hasNextPage: false });
const answer = async (): Promise<Response> => new Response(text, { headers: { "content-type": "application/json" } });
const baseUrl = "http://127.0.0.1:1";
const authorization = { authorization: "Bearer key" };

const transport = createTransport({ baseUrl, apiKey: "key", fetch: answer });
const official = new Letta({ baseURL: baseUrl, apiKey: "key", fetch: answer });
const openapi = createOpenapiClient<Record<string, never>>({ baseUrl, fetch: answer, headers: authorization });
const list = openapi.GET as unknown as (path: string) => Promise<unknown>;
const kyClient = ky.create({ fetch: answer, headers: authorization });

const clients: Readonly<Record<string, () => Promise<unknown>>> = {
  "raw fetch": async () => (await answer()).json(),
  ours: () => listEnvironments(transport),
  "openapi-fetch 0.17": () => list("/v1/environments"),
  "ky 2.1": () => kyClient.get(`${baseUrl}/v1/environments`).json(),
  "official SDK 1.12.1": () => official.environments.list(),
};

const slices = 60;
const callsPerSlice = 500;
const samples: Record<string, number[]> = {};
for (let slice = 0; slice < slices; slice += 1) {
  for (const [name, call] of Object.entries(clients)) {
    const before = process.cpuUsage();
    for (let count = 0; count < callsPerSlice; count += 1) await call();
    const { user, system } = process.cpuUsage(before);
    // The first slices are the compiler's.
    if (slice >= 10) (samples[name] ??= []).push((user + system) / callsPerSlice);
  }
}
process.stdout.write(JSON.stringify(samples));
