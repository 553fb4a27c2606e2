/**
 * The container images that the project names: in Dockerfiles, compose files and workflows. A tag can be moved to another image, so a
 * release needs their digests. Pure functions over the texts of the files.
 */

/** The files that name images. @param {string} path */
export function mayNameImages(path) {
  return /^(?:Dockerfile|compose\.yaml|\.github\/workflows\/[\w.-]+\.ya?ml)$/.test(path);
}

// `FROM image`, `image: image` and `container: image`. `AS name` of a Dockerfile follows the name; `FROM name` of a stage has no tag.
const reference = /^(\s*(?:FROM|image:|container:)\s+)([\w./-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?(?=\s|$)/gm;

/**
 * An image of a file.
 *
 * @typedef {object} Image
 * @property {string} name with its tag, such as `node:24-slim`
 * @property {string | null} digest such as `sha256:...`
 * @property {number} line from 1
 */

/** Returns the images that a file names. @param {string} text @returns {Image[]} */
export function imagesIn(text) {
  return [...text.matchAll(reference)].map(({ 2: name = "", 3: digest, index }) => ({
    name,
    digest: digest?.slice(1) ?? null,
    line: text.slice(0, index).split("\n").length,
  }));
}

/**
 * Lists the images without a digest.
 *
 * @param {readonly { readonly path: string, readonly text: string }[]} files @returns {string[]} `PATH:LINE: NAME`
 */
export function findUnpinnedImages(files) {
  return files.flatMap(({ path, text }) =>
    imagesIn(text).flatMap(({ name, digest, line }) => (digest === null ? [`${path}:${line}: ${name}`] : [])),
  );
}

/** Returns the text with the digest of each image, in place of the one that it had. @param {string} text @param {(name: string) => string} digestOf */
export function pinImages(text, digestOf) {
  return text.replaceAll(reference, (_whole, start, name) => `${start}${name}@${digestOf(name)}`);
}
