/** Node.js programs import and require everything that the packages export. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { createProject } from "../support/project.ts";
import { nodes, runsAll } from "../support/tools.ts";

const everything = createProject(inject("everything"), inject("installation"));

/** Every module that a package exports, by its specifier. */
function modulesOf(name: string): readonly string[] {
  const manifest = JSON.parse(readFileSync(join(everything.folder, "node_modules", name, "package.json"), "utf8")) as {
    exports: Record<string, unknown>;
  };
  return Object.entries(manifest.exports).flatMap(([subpath, target]) =>
    typeof target === "object" && subpath !== "./bun" ? [`${name}${subpath.slice(1)}`] : [],
  );
}

const scope = "@letta-environments/";
const portable = ["schema", "client", "http-cache"].flatMap((name) => modulesOf(scope + name));
const servers = ["environment-server", "proxy"].flatMap((name) => modulesOf(scope + name));
// These need an optional peer, which is not installed.
const isInstalled = (specifier: string): boolean => !/\/(?:opentelemetry|valkey-connection)$/.test(specifier);

const versions = [
  ["Node.js 20", nodes["20"], portable],
  ...(runsAll
    ? ([
        ["Node.js 22", nodes["22"], [...portable, ...servers]],
        ["Node.js 24", nodes["24"], [...portable, ...servers]],
      ] as const)
    : []),
  ["the current Node.js", nodes.current, [...portable, ...servers]],
] as const;

test.each(versions)(
  "%s imports and requires every exported module, with the same names",
  async (_name, node, modules) => {
    const specifiers = JSON.stringify(modules.filter(isInstalled));
    const program = `
    import { createRequire } from "node:module";
    const require = createRequire(import.meta.url);
    for (const specifier of ${specifiers}) {
      const imported = Object.keys(await import(specifier)).sort().join();
      const required = Object.keys(require(specifier)).filter((name) => name !== "__esModule").sort().join();
      if (imported === "" || imported !== required) throw new Error(specifier + ": " + imported + " / " + required);
    }
    console.log("same names");`;
    // An unfinished warning of the runtime about its own SQLite is not an error of the packages.
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", program];
    expect(await everything.run(node, args, { node })).toEqual({ code: 0, output: "same names\n" });
  },
);

test.each([
  ["an ES module", "client.mjs", (name: string, from: string) => `import { ${name} } from "${from}";`],
  ["a CommonJS module", "client.cjs", (name: string, from: string) => `const { ${name} } = require("${from}");`],
])("%s lists the devices of a server and catches a typed error on Node.js 20", async (_kind, file, load) => {
  everything.write({
    [file]: `${load("createClient, isLettaEnvironmentsError", `${scope}client`)}
      ${load("createFakeServer", `${scope}client/testing`)}
      const server = createFakeServer();
      server.put({ deviceId: "d-1", connectionName: "build-box" });
      const { environments } = createClient({ baseUrl: "https://server.example", apiKey: "key", fetch: server.fetch });
      environments.list().then(async ({ connections }) => {
        console.log(connections[0].connectionName);
        await environments.retrieve("missing").catch((error) => console.log(isLettaEnvironmentsError(error), error.code));
      });`,
  });
  const node = nodes["20"];
  expect(await everything.run(node, [file], { node })).toEqual({
    code: 0,
    output: "build-box\ntrue environment_not_found\n",
  });
});

test("the sample of the environment server stores its devices in SQLite", async () => {
  const folder = mkdtempSync(join(tmpdir(), "consumer-data-"));
  const readme = readFileSync(
    join(everything.folder, "node_modules", `${scope}environment-server`, "README.md"),
    "utf8",
  );
  const [, sample = ""] = /```ts\n(.*?createEnvironmentServer.*?)```/s.exec(readme) ?? [];
  everything.write({
    "server.mjs": `${sample.replace("environments.sqlite", join(folder, "environments.sqlite"))}
      console.log(typeof server.handle, await server.findConnection("tenant", "env-conn-unknown"));
      process.exit(0);`,
  });
  const result = await everything.run(nodes.current, ["--disable-warning=ExperimentalWarning", "server.mjs"]);
  const files = readdirSync(folder);
  rmSync(folder, { recursive: true, force: true });
  expect(result).toEqual({ code: 0, output: "function null\n" });
  expect(files).toContain("environments.sqlite");
});

test.each([
  ["an ES module", "mounted.mjs", (name: string, from: string) => `import { ${name} } from "${from}";`],
  ["a CommonJS module", "mounted.cjs", (name: string, from: string) => `const { ${name} } = require("${from}");`],
])("%s mounts the gateway in its own Hono app", async (_kind, file, load) => {
  everything.write({
    [file]: `${load("Hono", "hono")}
      ${load("createGateway", `${scope}proxy`)}
      const gateway = createGateway({ environment: { UPSTREAM_URL: "http://127.0.0.1:1" }, config: { auth: { passThrough: true } } });
      const app = new Hono().route("/letta", gateway).get("/own", (context) => context.text("own"));
      Promise.all(["/letta/livez", "/letta/v1/environments", "/letta/openapi.json", "/own", "/livez"].map((path) => app.request(path)))
        .then((responses) => console.log(responses.map(({ status }) => status).join()));`,
  });
  const { output } = await everything.run(nodes.current, [file]);
  expect(output.split("\n").at(-2)).toBe("200,401,200,200,404");
});

test("a program with an invalid setting gets an error that names it", async () => {
  everything.write({
    "broken.mjs": `import { createGateway } from "${scope}proxy";
      try { createGateway({ environment: {} }); } catch (error) { console.log(error.message); }`,
  });
  const { output } = await everything.run(nodes.current, ["broken.mjs"]);
  expect(output.split("\n").map((line) => line.split(":")[0])).toEqual([
    "UPSTREAM_URL is required",
    "VALKEY_URL and KEY_PEPPER, auth.jwt or auth.passThrough is required",
    "",
  ]);
});
