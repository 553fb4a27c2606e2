import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the repository, wherever a script is started from. */
export const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
