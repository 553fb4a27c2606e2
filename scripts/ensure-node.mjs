/** Installs a supported Node.js where the running one is too old. Runs after each full install; see lib/supported-node.mjs. */
import { ensureNode } from "./lib/supported-node.mjs";

await ensureNode();
