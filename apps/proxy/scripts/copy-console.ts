/** Copies the built console beside the bundles, which read it from there. The sources of the gateway do not import it. */
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";

const source = join(import.meta.dirname, "../../console/dist");
const target = join(import.meta.dirname, "../dist/console");

await rm(target, { recursive: true, force: true });
await cp(source, target, { recursive: true });
