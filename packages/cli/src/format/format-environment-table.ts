import type { Environment } from "@letta-environments/client";
import { describeMode, describePresence } from "./describe-environment.ts";
import { formatAge } from "./format-age.ts";
import { type Cell, type Column, formatTable } from "./format-table.ts";
import type { Paint } from "./style.ts";

const columns: readonly Column[] = [
  { title: "NAME", shrinks: true },
  { title: "DEVICE", shrinks: false },
  { title: "STATUS", shrinks: false },
  { title: "MODE", shrinks: false },
  { title: "LAST SEEN", shrinks: false },
  { title: "BRANCH", shrinks: true },
  { title: "DIRECTORY", shrinks: true },
];

/** Environments as a table for people. */
export function formatEnvironmentTable(
  environments: readonly Environment[],
  nowMs: number,
  width: number | null,
  paint: Paint,
): string {
  return formatTable(
    columns,
    environments.map((environment) => cells(environment, nowMs)),
    width,
    paint,
  );
}

function cells(environment: Environment, nowMs: number): Cell[] {
  return [
    { text: environment.connectionName, style: null },
    { text: environment.deviceId, style: null },
    describePresence(environment, nowMs),
    describeMode(environment),
    { text: formatAge(environment.lastSeenAt, nowMs), style: null },
    { text: environment.metadata?.gitBranch ?? "", style: null },
    { text: environment.metadata?.workingDirectory ?? "", style: "dim" },
  ];
}
