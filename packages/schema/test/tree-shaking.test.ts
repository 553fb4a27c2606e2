import { build } from "esbuild";
import { expect, test } from "vitest";

/** Modules of the package, and valibot, that are left in a bundle of one export. */
async function bundledModules(code: string): Promise<string[]> {
  const { metafile } = await build({
    stdin: { contents: code, resolveDir: import.meta.dirname, loader: "ts" },
    bundle: true,
    format: "esm",
    write: false,
    metafile: true,
    treeShaking: true,
  });
  const inputs = Object.values(metafile.outputs).flatMap((output) => Object.entries(output.inputs));
  const left = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path);
  return left
    .flatMap((path) => (path.includes("valibot") ? ["valibot"] : (/src\/(.*)\.ts$/.exec(path)?.slice(1) ?? [])))
    .toSorted();
}

test.each([
  ["isOnline", ["presence"]],
  ["isIdentifier", ["is-identifier"]],
  ["problemCodes", ["problem-definitions"]],
  ["problemResponse", ["problem", "problem-definitions"]],
  ["isApprovalMessage", ["is-approval-message"]],
  ["formatListQuery", ["format-list-query"]],
  ["EnvironmentListSchema", ["environment", "is-record", "open-enum", "valibot", "wire-object"]],
  ["SendMessageResponseSchema", ["is-record", "send-message-response-schema", "valibot", "wire-object"]],
  ["RegisterResponseSchema", ["is-record", "register-response-schema", "valibot", "wire-object"]],
  ["TextPartSchema", ["is-record", "text-part-schema", "valibot", "wire-object"]],
  [
    "UserMessageSchema",
    [
      "either",
      "is-record",
      "reference-schema",
      "text-part-schema",
      "user-message-schema",
      "valibot",
      "wire-object",
      "wire-rules",
    ],
  ],
  ["ProblemSchema", ["is-record", "problem-schema", "valibot", "wire-object"]],
])("importing %s costs nothing else", async (name, modules) => {
  expect(await bundledModules(`export { ${name} } from "../src/index.ts";`)).toEqual(modules);
});

test("a guard and a drift finder carry no valibot", async () => {
  const guards = await bundledModules('export { isSendMessageBody } from "../src/guards.gen.ts";');
  const drift = await bundledModules('export { findEnvironmentListDrift } from "../src/drift.gen.ts";');
  expect([guards, drift]).toEqual([
    ["guards.gen", "is-record", "wire-rules"],
    ["drift", "drift.gen"],
  ]);
});
