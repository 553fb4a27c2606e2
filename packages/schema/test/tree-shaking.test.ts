import { build } from "esbuild";
import { expect, test } from "vitest";

const bundleOf = (code: string, treeShaking = true) =>
  build({
    stdin: { contents: code, resolveDir: import.meta.dirname, loader: "ts" },
    bundle: true,
    format: "esm",
    write: false,
    metafile: true,
    treeShaking,
  });

/** Returns the modules of the package, and valibot, that a bundle contains. */
async function bundledModules(code: string): Promise<string[]> {
  const { metafile } = await bundleOf(code);
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
  const left = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path);
  return left
    .flatMap((path) => (path.includes("valibot") ? ["valibot"] : (/src\/\w+\/(.*)\.ts$/.exec(path)?.slice(1) ?? [])))
    .toSorted();
}

test.each([
  ["isOnline", ["presence"]],
  ["isIdentifier", ["identifier"]],
  ["buildPath", ["identifier", "routing", "rules"]],
  ["problemCodes", ["problem-definitions"]],
  ["problemResponse", ["problem", "problem-definitions", "rules"]],
  ["isApprovalMessage", ["message"]],
  ["messageDeduplicationHeader", ["message"]],
  ["declareDeduplication", ["message"]],
  ["EnvironmentListSchema", ["environment", "rules", "valibot", "wire-schema"]],
  ["SendMessageResponseSchema", ["message", "message-status", "rules", "valibot", "wire-schema"]],
  ["RegisterResponseSchema", ["register", "rules", "valibot", "wire-schema"]],
  ["TextPartSchema", ["message", "rules", "valibot", "wire-schema"]],
  ["UserMessageSchema", ["message", "reference", "rules", "valibot", "wire-schema"]],
  ["ProblemSchema", ["problem", "rules", "valibot", "wire-schema"]],
])("a bundle of %s has only the modules that it uses", async (name, modules) => {
  expect(await bundledModules(`export { ${name} } from "../src/index.ts";`)).toEqual(modules);
});

test("a bundle of one schema has no other schema of its module", async () => {
  const bundle = await bundleOf('export { TextPartSchema } from "../src/index.ts";');
  const schemas = bundle.outputFiles.map(({ text }) => text.match(/(?<=^var )\w+Schema(?= = )/gm));
  expect(schemas).toEqual([["RecordSchema", "TextPartSchema"]]);
});

test("a guard and a drift finder work without valibot", async () => {
  const guards = await bundledModules('export { isSendMessageBody } from "../src/checks/guards.gen.ts";');
  const drift = await bundledModules('export { findEnvironmentListDrift } from "../src/checks/drift.gen.ts";');
  expect([guards, drift]).toEqual([
    ["guards.gen", "rules"],
    ["drift", "drift.gen"],
  ]);
});

test.each(["identifier", "presence", "problem-codes", "guards", "drift"])(
  "the subpath module %s imports no valibot, so it works without a bundler",
  async (module) => {
    const { metafile } = await bundleOf(`export * from "@letta-environments/schema/${module}";`, false);
    expect(Object.keys(metafile.inputs).filter((path) => path.includes("valibot"))).toEqual([]);
  },
);
