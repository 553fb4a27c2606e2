/**
 * Runs the gateway as if its extensions did not exist: whatever composes them finds none, and loading one of their files is an error. Preload
 * it with `node --import`.
 */
import { registerHooks } from "node:module";

const source = new URL("../../src/", import.meta.url).href;
const composer = "extensions.ts";
/** The extensions, as `scripts/lib/structure-rules.mjs` lists them above `pipeline.ts`. */
const extensions = ["audit/control.ts", "streams/", "upstream/extensions/", "viewers/"];

registerHooks({
  load(url, context, nextLoad) {
    if (url === source + composer) {
      const text = "export const createExtensions = () => null;";
      return { format: "module", shortCircuit: true, source: text };
    }
    if (extensions.some((path) => url.startsWith(source + path))) throw new Error(`${url} is part of an extension`);
    return nextLoad(url, context);
  },
});
