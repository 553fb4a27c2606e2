/** Projects in TypeScript compile against the packages, in strict mode and with every declaration file checked. */
import { expect, inject, test } from "vitest";
import { createProject } from "../support/project.ts";
import { compilers, nodes } from "../support/tools.ts";

const everything = createProject(inject("everything"), inject("installation"));

/** Uses the values and types of every package. `import` statements are what a CommonJS project writes too. */
const program = `
import { type Client, createClient, isLettaEnvironmentsError } from "@letta-environments/client";
import { createFakeServer } from "@letta-environments/client/testing";
import { createResponseCache, createInProcessCoalescer, createMemoryCacheStore, webClock } from "@letta-environments/http-cache";
import { createHttpCache } from "@letta-environments/http-cache/rfc9111";
import { type Environment, EnvironmentListSchema, isOnline } from "@letta-environments/schema";
import { isEnvironmentList } from "@letta-environments/schema/guards";
import { createEnvironmentServer, type EnvironmentServer } from "@letta-environments/environment-server";
import { openSqlite, randomId, sha256Hex, systemClock } from "@letta-environments/environment-server/node";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { createFetchHandler, type FetchHandler } from "@letta-environments/proxy/fetch";
import { type GatewayServer, openGateway } from "@letta-environments/proxy/server";

export const client: Client = createClient({ baseUrl: "https://server.example", apiKey: "key", fetch: createFakeServer().fetch });

export async function online(): Promise<readonly string[]> {
  const { connections } = await client.environments.list({ limit: 20 });
  const rows: readonly Environment[] = connections;
  return rows.filter((row) => isOnline(row, 0)).map(({ connectionName }) => connectionName);
}

export async function send(): Promise<string> {
  try {
    const body = { agentId: "a", messages: [{ role: "user" as const, content: "hello" }] };
    return (await client.environments.sendToDevice({ name: "build-box" }, body)).outcome;
  } catch (error) {
    if (isLettaEnvironmentsError(error) && error.code === "environment_not_found") return error.message;
    throw error;
  }
}

// @ts-expect-error a message needs content
export const refused = client.environments.sendMessage("c", { agentId: "a", messages: [{ role: "user" }] });

const coalescer = createInProcessCoalescer({ clock: webClock });
const store = createMemoryCacheStore({ clock: webClock });
export const cache = createResponseCache<Response>({ name: "app", clock: webClock, store, coalescer });
export const httpCache = createHttpCache;
export const accepts = (value: unknown): boolean => isEnvironmentList(value) && EnvironmentListSchema.type !== undefined;

export const server: EnvironmentServer = createEnvironmentServer({
  store: createSqliteEnvironmentStore(openSqlite(":memory:")),
  clock: systemClock,
  sha256: sha256Hex,
  randomId,
  podId: randomId("pod"),
  publicUrl: "https://environments.example",
});

export const handler: FetchHandler = createFetchHandler({ config: {} });

export async function start(address: string): Promise<Response> {
  const gateway: GatewayServer = await openGateway({ environment: { DATA_DIR: "data" }, mountPath: "/letta", log: () => {} });
  const key: string = await gateway.createKey({ name: "devices", scopes: ["connect"] });
  return gateway.fetch(new Request(address, { headers: { authorization: key } }), { clientAddress: "192.0.2.1" });
}

// @ts-expect-error there is no such scope
export const unknownScope = openGateway().then((gateway) => gateway.createKey({ name: "x", scopes: ["everything"] }));
`;

/** Mounts the gateway in a Hono app, whose types are those of Hono. */
const mounted = `
import { createGateway } from "@letta-environments/proxy";
import { Hono } from "hono";

const gateway = createGateway({ environment: {}, clientAddressOf: (context) => context.req.header("x-address") ?? null });
export const app = new Hono().route("/letta", gateway);
`;

const settings = (module: string, moduleResolution: string, files: readonly string[]): string =>
  JSON.stringify({
    compilerOptions: {
      target: "es2022",
      lib: ["es2020", "dom", "dom.iterable", "esnext.disposable"],
      module,
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
      types: [],
    },
    files: files.flatMap((name) => [`${name}.mts`, ...(module === "nodenext" ? [`${name}.cts`] : [])]),
  });

const resolutions = [
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
] as const;

test.each(
  Object.entries(compilers).flatMap(([version, compiler]) =>
    resolutions.map(([module, resolution]) => [version, resolution, compiler, module] as const),
  ),
)(
  "TypeScript %s with %s resolution compiles programs that use every package",
  async (version, resolution, compiler, module) => {
    const folder = `typescript-${version}-${resolution}`;
    everything.write({
      [`${folder}/everything.mts`]: program,
      [`${folder}/everything.cts`]: program,
      [`${folder}/mounted.mts`]: mounted,
      [`${folder}/mounted.cts`]: mounted,
      // The declarations of Hono itself are newer than TypeScript 5.4, so a program that mounts the gateway in a Hono app is apart there.
      [`${folder}/tsconfig.json`]: settings(module, resolution, [
        "everything",
        ...(version === "5.4" ? [] : ["mounted"]),
      ]),
      [`${folder}/tsconfig.hono.json`]: settings(module, resolution, ["mounted"]),
    });
    const { output } = await everything.run(nodes.current, [compiler, "-p", folder, "--pretty", "false"]);
    expect(output).toBe("");
    if (version !== "5.4") return;
    const hono = [compiler, "-p", `${folder}/tsconfig.hono.json`, "--pretty", "false", "--skipLibCheck"];
    expect(await everything.run(nodes.current, hono)).toEqual({ code: 0, output: "" });
  },
);
