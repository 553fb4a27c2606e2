import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Writes a configuration file, and returns the arguments of `letta-proxy` that name it. */
export async function configArguments(
  config: object,
): Promise<{ readonly args: readonly string[]; readonly remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "letta-proxy-config-"));
  const file = join(folder, "proxy.config.json");
  await writeFile(file, JSON.stringify(config));
  return { args: ["--config", file], remove: () => rm(folder, { recursive: true }) };
}
