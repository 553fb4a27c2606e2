/**
 * `pnpm pin-images`: writes the digest of each container image after its tag, in the Dockerfile, compose.yaml and the workflows. Docker
 * queries the registries. Run it again for newer images of the same tags.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { imagesIn, mayNameImages, pinImages } from "./images.mjs";
import { readText, repositoryFiles, repositoryRoot } from "../lib/repository.mjs";

/** Ends the process with one line. @param {string} line @returns {never} */
function fail(line) {
  process.stderr.write(`pin-images: ${line}\n`);
  process.exit(1);
}

/** Queries the registry of an image for the digest of its tag, which covers all platforms. @param {string} name */
function readDigest(name) {
  const words = ["buildx", "imagetools", "inspect", name, "--format", "{{.Manifest.Digest}}"];
  try {
    const digest = execFileSync("docker", words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
    return /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : fail(`${name} has no digest: Docker printed something else`);
  } catch (error) {
    const { code, stderr = "" } = /** @type {{ code?: string, stderr?: string }} */ (error);
    if (code === "ENOENT") return fail("docker is missing: install it, with buildx, and start again");
    return fail(`${name} has no digest: ${stderr.trim().split("\n")[0]}`);
  }
}

const files = repositoryFiles()
  .filter(mayNameImages)
  .map((path) => ({ path, text: readText(path) }));
const names = new Set(files.flatMap(({ text }) => imagesIn(text).map(({ name }) => name)));
// All digests are known before the first file is written.
const digests = new Map([...names].map((name) => [name, readDigest(name)]));
for (const { path, text } of files)
  writeFileSync(
    join(repositoryRoot, path),
    pinImages(text, (name) => digests.get(name) ?? ""),
  );
for (const [name, digest] of digests) process.stdout.write(`${name}@${digest}\n`);
