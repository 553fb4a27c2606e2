import type { Environment } from "@letta-environments/client";
import { describeMode, describePresence } from "./describe-environment.ts";
import { formatTime } from "./format-age.ts";
import { formatColumns } from "./format-columns.ts";

/** Environments for programs, a line each; the columns are told by `letta-env help list` and never change their place. */
export function formatEnvironmentLines(environments: readonly Environment[], nowMs: number): string {
  return environments.map((environment) => formatColumns(columnsOf(environment, nowMs))).join("");
}

function columnsOf(environment: Environment, nowMs: number): string[] {
  return [
    environment.deviceId,
    environment.connectionName,
    describePresence(environment, nowMs).text,
    describeMode(environment).text,
    formatTime(environment.lastSeenAt),
    environment.connectionId ?? "",
  ];
}
