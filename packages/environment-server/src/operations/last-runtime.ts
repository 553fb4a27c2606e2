/** The device on which a conversation ran last. */
import {
  allowsAgent,
  allowsDevice,
  jsonResponse,
  type LastRuntime,
  type OperationInput,
  type PlainResponse,
  presentMetadata,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { ServerContext } from "./context.ts";
import { mergeMetadata } from "./presentation.ts";

/** How many rows that ran the conversation are searched for the first one within reach. */
const maxRuns = 1_000;

/**
 * Returns the device within reach that last accepted a message of a conversation. Without one, the response is 404 `environment_not_found`, also for
 * an unknown conversation, an agent that the principal may not use, or devices out of reach.
 */
export async function retrieveLastRuntime(
  { store, router, time }: ServerContext,
  { params: { agentId, conversationId } }: OperationInput<"retrieveLastRuntime">,
  principal: Principal,
): Promise<PlainResponse> {
  if (!allowsAgent(principal, agentId)) return notFound;
  const { tenant } = principal;
  const runs = await store.findRuns(tenant, agentId, conversationId, maxRuns);
  const environmentIds = runs.map(({ environmentId }) => environmentId);
  const filter = { tenant, afterId: null, environmentIds, deviceIds: null, owner: null, limit: maxRuns };
  const rows = runs.length === 0 ? [] : await store.listEnvironments(filter);
  const reached = new Map(rows.filter((row) => allowsDevice(principal, row)).map((row) => [row.id, row]));
  const run = runs.find(({ environmentId }) => reached.has(environmentId));
  const row = run && reached.get(run.environmentId);
  if (run === undefined || row === undefined) return notFound;
  const [presence = null] = await router.presence([row.id]);
  const isOnline = presence !== null;
  return jsonResponse(200, {
    environmentId: row.id,
    deviceId: row.deviceId,
    connectionName: row.connectionName,
    metadata: presentMetadata(principal, mergeMetadata(row.metadata, presence?.status ?? row)),
    status: isOnline ? "online" : "offline",
    isOnline,
    lastSeenAt: presence?.lastSeenMs ?? Math.min(row.lastSeenAt, time.wall()),
    lastUsedAt: time.wallAt(run.usedAt),
    source: "environment",
  } satisfies LastRuntime);
}

const notFound: PlainResponse = problemResponse("environment_not_found", {
  detail: "No device has run this conversation.",
  issues: [{ member: "conversationId", rule: "must be a conversation that a device has run" }],
});
