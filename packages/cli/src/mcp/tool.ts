/**
 * Turns a tool call into requests with the key of the user, and reports its result or failure to the MCP client. A failure is a tool
 * error with the text that the command line would print, so that the model can read it and act on it.
 */
import { isLettaEnvironmentsError } from "@letta-environments/client";
import { CommandError, printable } from "@letta-environments/command-line";
import { checkValue } from "@letta-environments/schema";
import type { CallToolResult, ServerContext, StandardSchemaWithJSON } from "@modelcontextprotocol/server";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { describeError } from "../failure.ts";
import type { Host } from "../host.ts";
import { createEnvironmentOperations, type EnvironmentOperations } from "../operations.ts";
import type { Settings } from "../settings.ts";
import { escapeMembers, showText } from "./texts.ts";

/** The machine and the settings that all tools of a server share. */
export interface ToolSession {
  readonly host: Host;
  readonly settings: Settings;
}

/** The tools of one call. */
export interface ToolCall {
  readonly host: Host;
  /** End when the client cancels the call, or when the user ends the program. */
  readonly operations: EnvironmentOperations;
  /** Tells the client what the call waits for, if it requested progress. */
  progress(elapsedSeconds: number, totalSeconds: number, message: string): Promise<void>;
}

/** A result that is an object of JSON. */
export type ToolOutput = Readonly<Record<string, unknown>>;

/** Converts a valibot schema to the form that the SDK advertises as JSON Schema. Its errors have the texts of the API. */
export function describeSchema<Input, Output>(
  schema: v.GenericSchema<Input, Output>,
): StandardSchemaWithJSON<Input, Output> {
  const described = toStandardJsonSchema(schema);
  const validate: StandardSchemaWithJSON<Input, Output>["~standard"]["validate"] = (value) => {
    const checked = checkValue(schema, value, "the arguments");
    if (checked.ok) return { value: checked.value };
    return { issues: checked.issues.map(({ member, rule }) => ({ message: `${member} ${rule}` })) };
  };
  return { "~standard": { ...described["~standard"], validate } };
}

/** The arguments of a tool that a described schema accepts. */
export type InputOf<Schema extends StandardSchemaWithJSON> = NonNullable<Schema["~standard"]["types"]>["output"];

/** Runs one call of a tool. Rejects only for defects of this program. */
export async function runTool(
  { host, settings }: ToolSession,
  context: ServerContext,
  run: (call: ToolCall) => Promise<ToolOutput>,
): Promise<CallToolResult> {
  const { signal, _meta, notify } = context.mcpReq;
  const callHost: Host = { ...host, interrupted: AbortSignal.any([host.interrupted, signal]) };
  const progressToken = _meta?.progressToken;
  try {
    const output = await run({
      host: callHost,
      operations: createEnvironmentOperations(callHost, settings),
      async progress(elapsedSeconds, totalSeconds, message) {
        if (progressToken === undefined) return;
        const params = { progressToken, progress: elapsedSeconds, total: totalSeconds, message };
        await notify({ method: "notifications/progress", params });
      },
    });
    const structuredContent = escapeMembers(output);
    const text = JSON.stringify(structuredContent);
    if (text.length > maxResultLength) {
      throw new CommandError(
        `the result has ${text.length} characters, and a tool returns at most ${maxResultLength}: use a lower limit or a filter`,
      );
    }
    // Clients without structured output read the text.
    return { content: [{ type: "text", text }], structuredContent };
  } catch (error) {
    const lines = describeToolFailure(error, settings).map(printable);
    return { content: [{ type: "text", text: showText(lines.join("\n"), maxFailureLength) }], isError: true };
  }
}

/** The largest number of characters of a result as JSON, and of the text of a failure: a server could fill the context of a model. */
const maxResultLength = 600_000;
const maxFailureLength = 10_000;

/** The lines of a failure. Rethrows defects of this program. */
function describeToolFailure(error: unknown, { baseUrl }: Settings): string[] {
  if (error instanceof CommandError) return [error.message, ...error.details];
  if (!isLettaEnvironmentsError(error)) throw error;
  return [describeError(error, baseUrl)];
}
