import { findEnvironmentListDrift } from "@letta-environments/schema/drift";
import { findEnvironmentListMismatch, isEnvironmentList } from "@letta-environments/schema/guards";

/** A list of 100 connections of about 79 KB with every known member, as it comes out of JSON. */
function makeList(): unknown {
  const connections = Array.from({ length: 100 }, (_, index) => ({
    id: `env-${index}-7c1d`,
    connectedAt: index % 3 === 0 ? null : 1_795_000_000_000,
    connectionId: index % 3 === 0 ? null : `conn-2b7e-${index}`,
    connectionName: `my-box-${index}`,
    deviceId: "9b0f8a1e-3c64-4c5e-8d55-3f1f7d1f8f0a",
    firstSeenAt: 1_794_900_000_000,
    lastHeartbeat: index % 3 === 0 ? null : 1_795_000_030_000,
    lastSeenAt: 1_795_000_030_000,
    organizationId: "org-1",
    podId: index % 3 === 0 ? null : "pod-1",
    apiKeyOwner: "user-1",
    currentMode: "standard",
    metadata: {
      gitBranch: "main",
      lettaCodeVersion: "0.32.18",
      nodeVersion: "v24.21.0",
      os: "linux",
      self_update: {
        supported: false,
        writable: false,
        reason: "Not installed by a package manager",
        manual_command: "npm install",
      },
      supported_commands: ["clear", "doctor", "init", "compact", "reload", "context-limit", "channels"],
      workingDirectory: "/home/user/project",
    },
    userId: "user-1",
  }));
  return JSON.parse(JSON.stringify({ connections, hasNextPage: true }));
}

/** The same list, every other row of which lacks some members and has others in another order, as devices of two releases do. */
function makeAlternatingList(): unknown {
  const { connections, hasNextPage } = makeList() as { connections: Record<string, unknown>[]; hasNextPage: boolean };
  const rows = connections.map((row, index) => {
    if (index % 2 === 0) return row;
    const { apiKeyOwner: _owner, currentMode: _mode, metadata, ...rest } = row;
    const { gitBranch: _branch, self_update: _update, ...others } = metadata as Record<string, unknown>;
    const changed = { ...others, self_update: { writable: true, supported: true } };
    return { ...rest, currentMode: "acceptEdits", metadata: changed };
  });
  return JSON.parse(JSON.stringify({ connections: rows, hasNextPage }));
}

/** The same list, each row of which has three members that are newer than the schemas, as those of Letta Code 0.32 have. */
function makeNewerList(): unknown {
  const { connections, hasNextPage } = makeList() as { connections: Record<string, unknown>[]; hasNextPage: boolean };
  const rows = connections.map(({ metadata, ...row }) => {
    const newer = { environmentMessageProtocol: 1, supportsPairedListenerGenerations: true };
    return { ...row, metadata: { ...(metadata as object), ...newer }, listenerInstanceId: "9b0f8a1e" };
  });
  return JSON.parse(JSON.stringify({ connections: rows, hasNextPage }));
}

const value = makeList();
const newer = makeNewerList();
const alternating = makeAlternatingList();
const steps: Readonly<Record<string, () => boolean>> = {
  guard: () => isEnvironmentList(value),
  mismatch: () => findEnvironmentListMismatch(value) === null,
  drift: () => isEnvironmentList(value) && findEnvironmentListDrift(value).length === 0,
  newer: () => isEnvironmentList(newer) && findEnvironmentListDrift(newer).length === 3,
  alternating: () => isEnvironmentList(alternating) && findEnvironmentListDrift(alternating).length === 0,
};

/** Runs a step so many times; the caller measures, since not every runtime has a clock that runs meanwhile. */
export function runStep(step: string, calls: number): void {
  for (let call = 0; call < calls; call++) if (steps[step]?.() !== true) throw new Error(`${step} must accept`);
}
