/** Installs a supported Node.js where the running one is too old. Runs after each full install; see supported-node.mjs. */
import { ensureNode } from "./supported-node.mjs";

await ensureNode();
