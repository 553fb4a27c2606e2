/** The connection of a device in the list. */
export const connectionIdOf = (index: number): string => `conn-01JD00000000000000000000B${index}`;

const rowOf = (deviceId: string, index: number): object => ({
  id: `env-01JD00000000000000000000A${index}`,
  connectionId: connectionIdOf(index),
  connectionName: "bench-box",
  deviceId,
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
});

/** The response with one device, as large as real ones are (0.8 KB). */
export const deviceText = (deviceId: string): string => JSON.stringify(rowOf(deviceId, 0));

/** The response with 20 devices (16 KB). */
export const listText: string = JSON.stringify({
  connections: Array.from({ length: 20 }, (_, index) => rowOf(`device-${index}`, index)),
  hasNextPage: false,
});

/** One device, for servers that respond with bytes. */
export const fixedBody: Uint8Array<ArrayBuffer> = new TextEncoder().encode(deviceText("bench-device"));

/** The path of that device. */
export const devicePath = "/v1/environments/bench-device";
