/**
 * The structure of the repository as data: which package may import which, in which order the folders of a package depend on
 * each other, how large files and functions may be, and which names are retired. `node scripts/check/structure.mjs` enforces all of it.
 * Violations that are allowed are listed in `structure-exceptions.json`, by rule. Imports between packages have no exceptions.
 */

/** The npm scope of the workspace packages. */
export const scope = "@letta-environments/";

/** Workspace packages that the sources of each package may import. Tests may import any package, apps excepted. */
export const packageImports = new Map([
  ["schema", []],
  ["http-cache", []],
  ["platform", []],
  ["command-line", []],
  ["client", ["schema"]],
  ["cli", ["client", "command-line", "schema"]],
  ["environment-server", ["schema", "platform"]],
  ["testkit", ["schema", "platform"]],
]);

/** Workspace packages that the sources of every app may import. */
export const appImports = ["schema", "client", "command-line", "http-cache", "platform", "environment-server"];

/**
 * The dependency order of each source folder: an entry may import only entries below it, type-only imports included. `name/` is
 * a folder with its subfolders and `name.ts` a file; the most specific entry counts. `*.ts` stands for all other files directly
 * in the source folder; without it, the order of those files is free. A folder that is not listed is an error.
 */
export const folderOrder = new Map([
  [
    "apps/proxy/src",
    [
      "runtimes/",
      "host/",
      "adapters/",
      "commands/",
      // Extensions of the API. The entries below must not import these.
      "extensions.ts",
      "upstream/extensions/",
      "viewers/",
      "audit/control.ts",
      "streams/",
      "backup/",
      "explain/",
      "pipeline.ts",
      "features.ts",
      "services.ts",
      "tracing/",
      "extension-port.ts",
      "reauthentication.ts",
      "request-exchange.ts",
      "config/",
      "metrics/",
      "admin/",
      "console/",
      "audit/",
      "cache/",
      "upstream/",
      "idempotency/",
      "limits/",
      "http/",
      "auth/",
      "tenants/",
      "keys/",
      "ports.ts",
      "keys/key-record.ts",
      "keys/key-rate-limit.ts",
      "telemetry.ts",
      "rate-limit/",
      "lib/circuit-breaker.ts",
      "lib/",
      "*.ts",
    ],
  ],
  ["apps/console/src", ["main.tsx", "views/", "parts/", "state/", "model/", "platform/", "style/"]],
  ["packages/cli/src", ["bin.ts", "adapters/", "commands/", "mcp/", "follow/", "format/"]],
  ["packages/client/src", ["index.ts", "testing/", "operations/", "adapters/"]],
  [
    "packages/environment-server/src",
    [
      "index.ts",
      "runtimes/",
      "valkey/",
      "operations/",
      // Extensions of the three endpoints. The entries below must not import these.
      "viewers/",
      "approvals/",
      "changes/",
      "messages/",
      "device-commands/",
      "routing/",
      "socket/",
      "delivery/",
      "dialects/",
      "sqlite/",
      "logs/",
      "time/",
    ],
  ],
  [
    "packages/http-cache/src",
    ["index.ts", "rfc9111.ts", "web/", "rfc9111/", "engine/", "store/", "fields/", "adapters/"],
  ],
  ["packages/platform/src", ["bun/", "cloudflare/", "node/", "valkey/"]],
  [
    "packages/schema/src",
    ["index.ts", "requests/", "endpoints/", "access/", "checks/", "schemas/", "problems/", "base/"],
  ],
  ["packages/testkit/src", ["index.ts", "clients/", "simulation/", "agents-api/", "streams/"]],
]);

/**
 * Files and folders that may import even less: only the listed entries of `folderOrder`, and only types of the listed workspace packages.
 * `rate-limit/`, with the circuit breaker, could become a separate package; `ports.ts` describes what the features need and depends on none.
 */
export const restrictedImports = [
  { path: "apps/proxy/src/rate-limit/", entries: ["rate-limit/", "lib/circuit-breaker.ts"], packages: [] },
  {
    path: "apps/proxy/src/ports.ts",
    entries: ["keys/key-record.ts", "telemetry.ts"],
    packages: ["environment-server", "platform", "schema"],
  },
];

/** Size limits. Generated files are exempt; only the limit on lines per file applies to tests. */
export const limits = {
  linesPerFile: 400,
  linesPerFunction: 80,
  /** Source files directly in one folder. */
  filesPerFolder: 15,
  /** Files of at most `smallFileLines` lines in each of the folders below. */
  smallFiles: new Map([["apps/proxy/src", 12]]),
  smallFileLines: 20,
};

/** Names that were replaced because only their authors understood them. A pattern matches whole identifiers and file names. */
export const retiredNames = [
  /^(?:keep|open)TokenWay$/i,
  /^TenantWay$/i,
  /^(?:create)?FlightDesk$/i,
  /^FlightTurn$/,
  /^exchangeInTurn$/,
  /^refreshUnlessUnderWay$/,
  /^standIn$/,
  /^spoilsStored$/,
  /^CacheTrouble$/,
  /^onTrouble$/,
  /^(?:Asked|Given|Kept)Answer$/,
  /^wish$/i,
  /^cachePlan$/i,
  /^AuthorisationView$/i,
  /^viewOf$/,
  /^judge(?:[A-Z]\w*)?$/,
  /^forward(?:Held|Seen)$/,
  /^RequestMeaning$/,
  /^RequestTraits$/,
  /^OwnPolicies$/i,
  /^RateLimitMeasure$/,
  /^(?:open)?Foundations$/i,
  /^(?:read)?EarlierEnds$/i,
  /^ChainEnd$/,
  /^AdminGate$/i,
  /^createOwnHostGuard$/,
  /^withoutForwarding$/,
  /^findNewSharing$/,
  /^isSurelyUnsent$/,
  /^toldMode$/,
  /^(?:create)?SerialLanes$/i,
  /^innermostReason$/,
  /^chance$/i,
  /^(?:No|Unusable)AnswerError$/,
  /^AnswerMismatch$/,
  /^AnswerApprovals$/,
  /^(?:json|problem)Answer$/,
];
