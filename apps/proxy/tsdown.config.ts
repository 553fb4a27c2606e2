import { readFileSync } from "node:fs";
import { defineConfig, type UserConfig } from "tsdown";

/**
 * One file for each runtime with every dependency in it, to be copied to a server or into an image and run as it is. What ws would load
 * for speed alone, if it were installed, stays outside.
 */
const servers: readonly UserConfig[] = ["node", "bun", "deno", "fetch"].map((runtime): UserConfig => ({
  entry: { [runtime]: `src/runtimes/${runtime}.ts` },
  format: "esm",
  platform: "node",
  target: "es2024",
  tsconfig: "tsconfig.json",
  dts: false,
  sourcemap: false,
  fixedExtension: false,
  clean: [`dist/${runtime}.js`],
  // As the runtime itself would resolve it: `@letta-environments/platform/sqlite` is Bun's own driver on Bun.
  inputOptions: (options) => ({
    ...options,
    resolve: { ...options.resolve, conditionNames: [...(runtime === "bun" ? ["bun"] : []), "node", "import"] },
  }),
  outputOptions: { codeSplitting: false },
  deps: {
    alwaysBundle: [/.*/],
    neverBundle: [/^(?:node|bun|cloudflare):/, "bufferutil", "utf-8-validate"],
    onlyBundle: false,
  },
}));

/**
 * What the Worker has no use for: texts that editors show for settings, members of the manifest but the version, and the texts of failures of
 * jose, which nobody is told: whatever is wrong with a token, the answer is the same.
 */
const withoutTexts: NonNullable<UserConfig["plugins"]> = {
  name: "without-texts",
  load(id) {
    if (!id.endsWith("/apps/proxy/package.json")) return null;
    const { version } = JSON.parse(readFileSync(id, "utf8")) as { readonly version: string };
    return { code: `export default { version: ${JSON.stringify(version)} };`, moduleType: "js" };
  },
  transform(code, id) {
    const textOf = /\/src\/config\/[a-z-]+-schema\.ts$/.test(id) ? description : /\/jose\//.test(id) ? failureText : null;
    if (textOf === null) return null;
    const cuts: { readonly start: number; readonly end: number }[] = [];
    visit(this.parse(code, { lang: "ts" }), (node) => {
      const text = textOf(node);
      if (isNode(text)) cuts.push({ start: Number(text["start"]), end: Number(text["end"]) });
    });
    let rest = code;
    for (const { start, end } of cuts.toSorted((left, right) => right.start - left.start)) {
      rest = `${rest.slice(0, start)}""${rest.slice(end)}`;
    }
    return { code: rest };
  },
};

/** The text in `setting(schema, text)`. */
function description({ type, callee, arguments: given }: Node): unknown {
  return type === "CallExpression" && isNode(callee) && callee["name"] === "setting" && Array.isArray(given) && given[1];
}

/** The text in `throw new SomeError(text, ...)`. */
function failureText({ type, argument }: Node): unknown {
  if (type !== "ThrowStatement" || !isNode(argument) || argument["type"] !== "NewExpression") return null;
  const [text]: readonly unknown[] = Array.isArray(argument["arguments"]) ? argument["arguments"] : [];
  if (!isNode(text)) return null;
  return text["type"] === "TemplateLiteral" || (text["type"] === "Literal" && typeof text["value"] === "string") ? text : null;
}

type Node = Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

function visit(value: unknown, see: (node: Node) => void): void {
  if (!isNode(value)) return;
  see(value);
  for (const member of Object.values(value)) visit(member, see);
}

/** Modules of the Worker that are loaded with their first use. */
const loadedLater =
  /\/(?:jose|auth\/jwt)\/|\/admin\/(?:admin-endpoints|create-admin|decide-change|entity-tag|grant-issues|list-keys|purge-cache)\.ts|\/keys\/(?:key-schemas|show-key|create-key|exact-object)\.ts|\/open-object-audit-log\.ts|\/audit\/(?:audit-log|chain)\.ts|\/sqlite-(?:audit|rate-limit)-store\.ts/;

/**
 * The Worker, as small as it gets: a module that every isolate loads, and beside it what is loaded with the first use alone, so that what a
 * gateway without tokens pays for them is their upload.
 */
const worker: UserConfig = {
  entry: { cloudflare: "src/runtimes/cloudflare.ts" },
  outDir: "dist/worker",
  format: "esm",
  platform: "neutral",
  target: "es2024",
  tsconfig: "tsconfig.json",
  dts: false,
  sourcemap: false,
  fixedExtension: false,
  minify: true,
  // Served by the platform beside the Worker, which carries nothing of it.
  copy: [{ from: "../../packages/schema/openapi.json", to: "dist/worker-assets" }],
  plugins: withoutTexts,
  outputOptions: {
    // Nothing bundles it again.
    comments: { annotation: false },
    // What every isolate loads is one module: many small ones compress worse.
    codeSplitting: { groups: [{ name: "gateway", test: (id) => !loadedLater.test(id) }] },
  },
  deps: { alwaysBundle: [/.*/], neverBundle: [/^(?:node|cloudflare):/], onlyBundle: false },
};

const config: UserConfig[] = defineConfig([...servers, worker]);
export default config;
