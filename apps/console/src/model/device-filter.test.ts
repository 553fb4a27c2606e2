import type { Environment } from "@letta-environments/client";
import { expect, test } from "vitest";
import { lookOf, nameOf, nextRows, selectDevices, ambiguousLooks, tagsOf } from "./device-filter.ts";

function device(name: string, members: Partial<Environment> = {}): Environment {
  const none = { connectedAt: null, connectionId: null, lastHeartbeat: null, podId: null };
  return {
    id: name,
    deviceId: `id-${name}`,
    connectionName: name,
    organizationId: "",
    firstSeenAt: 0,
    lastSeenAt: 0,
    ...none,
    ...members,
  };
}

const all = [
  device("b", {
    connectionId: "c-1",
    currentMode: "unrestricted",
    tags: ["gpu"],
    metadata: { lettaCodeVersion: "0.32.18" },
  }),
  device("a10", {
    pendingApprovals: 2,
    metadata: { workingDirectory: "/srv/App", gitBranch: "main", lettaCodeVersion: "0.9.1" },
  }),
  device("a9", { lastSeenAt: 5, tags: ["ci", "gpu"], currentMode: "bypassPermissions", displayName: "Build server" }),
];
const names = (filter: Readonly<Record<string, string>>): readonly string[] =>
  selectDevices(all, filter, ({ pendingApprovals = 0 }) => pendingApprovals).map(
    ({ connectionName }) => connectionName,
  );

test("devices are sorted by name in natural number order, and by each column in both directions", () => {
  expect(names({})).toEqual(["a10", "b", "a9"]);
  expect(names({ sort: "version" })).toEqual(["a9", "a10", "b"]);
  expect(names({ sort: "-version" })).toEqual(["b", "a10", "a9"]);
  expect(names({ sort: "seen" })).toEqual(["b", "a9", "a10"]);
  expect(names({ sort: "approvals" })).toEqual(["a10", "b", "a9"]);
  for (const sort of ["constructor", "__proto__", "hasOwnProperty", "valueOf", "nonsense"])
    expect(names({ sort })).toEqual(["a10", "b", "a9"]);
});

test("filters select by status, tag, mode, and by every word in any text", () => {
  expect(names({ status: "online" })).toEqual(["b"]);
  expect(names({ status: "offline" })).toEqual(["a10", "a9"]);
  expect(names({ status: "waiting" })).toEqual(["a10"]);
  expect(names({ tag: "gpu" })).toEqual(["b", "a9"]);
  expect(names({ mode: "unrestricted" })).toEqual(["b", "a9"]);
  expect(names({ q: "app MAIN" })).toEqual(["a10"]);
  expect(names({ q: "server" })).toEqual(["a9"]);
  expect(names({ q: "nothing like it" })).toEqual([]);
  expect(tagsOf(all)).toEqual(["ci", "gpu"]);
});

test("rows are removed and moved immediately, and added a few at a time", () => {
  const first = nextRows([], ["a", "b", "c"], 2);
  expect(first).toEqual(["a", "b"]);
  expect(nextRows(first, ["d", "c", "b", "e"], 2)).toEqual(["d", "c", "b"]);
  expect(nextRows(first, ["a", "b"], 2)).toBe(first);
});

function row(deviceId: string, connectionName: string, displayName?: string): Environment {
  return device(connectionName, { deviceId, ...(displayName !== undefined && { displayName }) });
}

test("invisible characters in a name are shown, whether the device or an administrator set it", () => {
  expect(nameOf(row("1", "build-server\u200b"))).toBe(String.raw`build-server\u200b`);
  expect(nameOf(row("1", "\u202erevres-dliub"))).toBe(String.raw`\u202erevres-dliub`);
  expect(nameOf(row("1", "desk", "build\u3164server"))).toBe(String.raw`build\u3164server`);
  expect(nameOf(row("1", ""))).toBe("1");
  for (const name of ["Größe", "日本語", "build server 👩‍💻"]) expect(nameOf(row("1", name))).toBe(name);
});

test("names that look alike are detected, even with different spaces, unless they belong to one device", () => {
  const all = [row("1", "build server"), row("2", "desk"), row("2", "desk"), row("3", "lab\u200b")];
  expect(ambiguousLooks(all)).toEqual([]);
  for (const name of ["build server", " build\u00a0 server", "\uff42uild server"])
    expect(ambiguousLooks([...all, row("4", name)])).toEqual([lookOf("build server")]);
  expect(ambiguousLooks([...all, row("4", "x", "desk")])).toEqual(["desk"]);
});

test("a name that ends in another device's id is detected, and one that ends in its own id is not", () => {
  const all = [row("1", "desk"), row("2", "desk"), row("3", "lab (3)"), row("4", "lab (5)"), row("6", "lab (1) x")];
  expect(ambiguousLooks(all)).toEqual(["desk"]);
  for (const name of ["desk (1)", "other (1)", "desk \uff081\uff09", "desk\u00a0( 1 ) "])
    expect(ambiguousLooks([...all, row("7", name)])).toEqual(["desk", lookOf(name)]);
});
