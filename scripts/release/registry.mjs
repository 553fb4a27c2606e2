/**
 * A package registry in memory, for tests: it serves tarballs and accepts `npm publish`. It has no other packages, so clients use it for
 * one scope only.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

/**
 * @typedef {object} LocalRegistry
 * @property {string} url ends with a slash
 * @property {string[]} received `NAME@VERSION` of each package that was published to it, in order
 * @property {() => void} close
 */

/** @typedef {{ manifest: Record<string, any>, content: Buffer }} Stored */

/**
 * Opens the registry on a free port.
 *
 * @param {readonly import("./pack.mjs").Tarball[]} [tarballs] packages that it has from the start
 * @returns {Promise<LocalRegistry>}
 */
export async function openLocalRegistry(tarballs = []) {
  /** @type {Map<string, Map<string, Stored>>} */
  const packages = new Map();
  /** @type {string[]} */
  const received = [];
  /** @param {Record<string, any>} manifest @param {Buffer} content */
  const add = (manifest, content) => {
    const versions = packages.get(manifest["name"]) ?? new Map();
    packages.set(manifest["name"], versions.set(manifest["version"], { manifest, content }));
  };
  for (const { manifest, path } of tarballs) add(manifest, readFileSync(path));

  const server = createServer((request, response) => {
    const [name = "", file] = decodeURIComponent(
      new URL(request.url ?? "/", "http://registry").pathname.slice(1),
    ).split("/-/");
    const versions = packages.get(name);
    if (request.method === "PUT") {
      readBody(request).then(
        (body) => {
          const { versions: published, _attachments: attachments } = JSON.parse(body.toString());
          const [manifest] = /** @type {Record<string, any>[]} */ (Object.values(published));
          const [attachment] = /** @type {{ data: string }[]} */ (Object.values(attachments));
          if (manifest !== undefined && attachment !== undefined) {
            add(manifest, Buffer.from(attachment.data, "base64"));
            received.push(`${manifest["name"]}@${manifest["version"]}`);
          }
          response.writeHead(201, { "content-type": "application/json" }).end("{}");
        },
        () => response.destroy(),
      );
      return;
    }
    if (versions === undefined) {
      response.writeHead(404, { "content-type": "application/json" }).end('{"error":"not found"}');
      return;
    }
    if (file !== undefined) {
      const stored = [...versions.values()].find(({ manifest }) => file.endsWith(`-${manifest["version"]}.tgz`));
      response.writeHead(stored === undefined ? 404 : 200).end(stored?.content);
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(describe(name, versions, `http://${request.headers.host}/`)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/`,
    received,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The document of a package, as package managers read it. @param {string} name @param {ReadonlyMap<string, Stored>} versions @param {string} url */
function describe(name, versions, url) {
  const unscoped = name.split("/").at(-1);
  const described = [...versions].map(([version, { manifest, content }]) => {
    const integrity = `sha512-${createHash("sha512").update(content).digest("base64")}`;
    return [version, { ...manifest, dist: { tarball: `${url}${name}/-/${unscoped}-${version}.tgz`, integrity } }];
  });
  return { name, "dist-tags": { latest: described.at(-1)?.[0] }, versions: Object.fromEntries(described) };
}

/** @param {import("node:http").IncomingMessage} request @returns {Promise<Buffer>} */
async function readBody(request) {
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of request) chunks.push(/** @type {Buffer} */ (chunk));
  return Buffer.concat(chunks);
}
