/** The tool that lists devices. */
import { type Environment, isOnline } from "@letta-environments/client";
import { formatTime } from "@letta-environments/command-line";
import type { McpServer } from "@modelcontextprotocol/server";
import * as v from "valibot";
import { collectEnvironments, refuseIgnoredTags } from "../operations.ts";
import { limitSchema } from "./schemas.ts";
import { describeSchema, runTool, type ToolOutput, type ToolSession } from "./tool.ts";

const listInput = describeSchema(
  v.strictObject({
    onlineOnly: v.optional(v.pipe(v.boolean(), v.description("Only devices that can receive a message now."))),
    tags: v.optional(
      v.pipe(
        v.array(
          v.pipe(
            v.string(),
            v.regex(/^[A-Za-z0-9][\w.:-]{0,63}$/, "must be a tag: at most 64 letters, digits, _ . : or -"),
          ),
        ),
        v.maxLength(16, "must have at most 16 tags"),
        v.description("Only devices that have all of these tags."),
      ),
    ),
    limit: v.optional(
      limitSchema(
        500,
        "The maximum number of devices. Default 50. If hasMore is true, a higher limit or tags return others.",
      ),
    ),
  }),
);

const listOutput = describeSchema(
  v.object({
    devices: v.array(
      v.object({
        deviceId: v.string(),
        name: v.pipe(v.string(), v.description("Selects the device in the other tools if only one device has it.")),
        displayName: v.pipe(v.nullable(v.string()), v.description("For people; the other tools do not accept it.")),
        online: v.boolean(),
        mode: v.nullable(v.string()),
        lastSeenAt: v.string(),
        workingDirectory: v.nullable(v.string()),
        gitBranch: v.nullable(v.string()),
        os: v.nullable(v.string()),
        tags: v.array(v.string()),
      }),
    ),
    hasMore: v.boolean(),
  }),
);

/** Adds `list_devices`. */
export function registerDeviceTools(server: McpServer, session: ToolSession): void {
  server.registerTool(
    "list_devices",
    {
      title: "List devices",
      description:
        "Lists the devices that the key can reach: deviceId, name, whether each is online, its permission mode (how freely its agents run tools) and its directory. Needs the scope list.",
      inputSchema: listInput,
      outputSchema: listOutput,
      annotations: { readOnlyHint: true, openWorldHint: true },
    },
    (input, context) =>
      runTool(session, context, async ({ operations }) => {
        const { onlineOnly = false, tags = [], limit = 50 } = input;
        const query = { ...(onlineOnly && { onlineOnly }), ...(tags.length > 0 && { tag: tags }) };
        const { connections, hasNextPage } = await collectEnvironments(operations, query, limit);
        refuseIgnoredTags(query, connections);
        const nowMs = operations.now();
        return { devices: connections.map((row) => describeDevice(row, nowMs)), hasMore: hasNextPage };
      }),
  );
}

function describeDevice(row: Environment, nowMs: number): ToolOutput {
  const { deviceId, connectionName, displayName, currentMode, lastSeenAt, metadata, tags } = row;
  return {
    deviceId,
    name: connectionName,
    displayName: displayName ?? null,
    online: isOnline(row, nowMs),
    mode: currentMode ?? null,
    lastSeenAt: formatTime(lastSeenAt),
    workingDirectory: metadata?.workingDirectory ?? null,
    gitBranch: metadata?.gitBranch ?? null,
    os: metadata?.os ?? null,
    tags: tags ?? [],
  };
}
