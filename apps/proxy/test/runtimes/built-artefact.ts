import { existsSync } from "node:fs";
import { resolve } from "node:path";

/** The path of a file that the build wrote into `dist`. */
export function builtArtefact(name: string): string {
  const path = resolve(import.meta.dirname, "../../dist", name);
  if (!existsSync(path)) throw new Error(`${path} is missing: 'pnpm build' writes it.`);
  return path;
}
