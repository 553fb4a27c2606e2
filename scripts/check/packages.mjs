/** Packs every published package as it goes to the registry and inspects the tarballs. Needs `pnpm build` first. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { inspectTarball } from "../release/inspect.mjs";
import { packAll } from "../release/pack.mjs";

const folder = mkdtempSync(join(tmpdir(), "check-packages-"));
let failures = 0;
try {
  const tarballs = await packAll(folder, null);
  const found = await Promise.all(tarballs.map((tarball) => inspectTarball(tarball, false)));
  for (const [index, { name }] of tarballs.entries()) {
    const problems = found[index] ?? [];
    failures += problems.length;
    process.stdout.write(problems.length === 0 ? `${name}: ok\n` : `${name}:\n  ${problems.join("\n  ")}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
