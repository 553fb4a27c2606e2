/** A process for the test of interrupted backups: it fills a private folder, says so, and then waits until it is ended. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { withPrivateFolder } from "../../src/adapters/node/backup-archive.ts";

await withPrivateFolder(process.argv[2] ?? "", "--data-dir", async (folder) => {
  writeFileSync(join(folder, "pepper"), "secret");
  process.stdout.write("filled\n");
  await new Promise((resolve) => void setTimeout(resolve, 600_000));
});
