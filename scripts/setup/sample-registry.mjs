/** A package registry for tests. It serves one package, and describes whatever it serves as correct. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The hash of a tarball, as lockfiles contain it. @param {Buffer} content */
export const integrityOf = (content) => `sha512-${createHash("sha512").update(content).digest("base64")}`;

/** Starts the registry. `folder` is a temporary folder, which `close` removes. */
export async function openSampleRegistry() {
  const folder = mkdtempSync(join(tmpdir(), "sample-registry-"));
  const manifest = { name: "pinned-sample", version: "1.0.0" };
  mkdirSync(join(folder, "package"));
  writeFileSync(join(folder, "package", "package.json"), JSON.stringify(manifest));
  execFileSync("tar", ["-czf", "sample.tgz", "package"], { cwd: folder });
  const tarball = readFileSync(join(folder, "sample.tgz"));
  const integrity = integrityOf(tarball);
  const server = createServer((request, response) => {
    if (request.url?.endsWith(".tgz")) {
      response.end(tarball);
      return;
    }
    const tarballUrl = `http://${request.headers.host}/${manifest.name}/-/${manifest.name}-${manifest.version}.tgz`;
    const versions = { [manifest.version]: { ...manifest, dist: { tarball: tarballUrl, integrity } } };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name: manifest.name, "dist-tags": { latest: manifest.version }, versions }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  return {
    folder,
    sample: { ...manifest, integrity },
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`,
    close() {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
