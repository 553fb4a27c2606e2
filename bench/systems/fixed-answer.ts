/** A row of a device, as large as real ones are, that every system without an upstream of its own answers with. */
export const fixedBody: Uint8Array<ArrayBuffer> = new TextEncoder().encode(
  JSON.stringify({
    id: "env-01JD00000000000000000000AA",
    connectionId: "conn-01JD00000000000000000000AB",
    connectionName: "bench-box",
    deviceId: "bench-device",
    connectedAt: 1_800_000_000_000,
    firstSeenAt: 1_800_000_000_000,
    lastHeartbeat: 1_800_000_000_000,
    lastSeenAt: 1_800_000_000_000,
    organizationId: "default",
    podId: "pod-01JD00000000000000000000AC",
    currentMode: "unrestricted",
    metadata: {
      os: "linux",
      lettaCodeVersion: "0.32.18",
      environmentMessageProtocol: "v2-input",
      workingDirectory: "/home/someone/project",
      git: { branch: "main", repository: "project", isDirty: false },
      capabilities: ["input", "abort", "approvals", "mode", "working-directory"],
      description: "Fills the row to the size of a real one. ".repeat(4),
    },
  }),
);

/** The path that is asked for. */
export const devicePath = "/v1/environments/bench-device";
