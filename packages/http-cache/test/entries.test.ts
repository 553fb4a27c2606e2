import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const source = join(import.meta.dirname, "..", "src");

/** The files that a module imports or exports from, directly and indirectly. */
function reachableFrom(path: string, reached: Set<string> = new Set()): Set<string> {
  const name = relative(source, path);
  if (reached.has(name)) return reached;
  reached.add(name);
  for (const [, specifier = ""] of readFileSync(path, "utf8").matchAll(/from "(\.[^"]+)"/g))
    reachableFrom(join(dirname(path), specifier), reached);
  return reached;
}

test("the main entry imports no RFC 9111 code", () => {
  const reached = [...reachableFrom(join(source, "index.ts"))];
  expect(reached).toEqual(expect.arrayContaining(["response-cache.ts", "engine/engine.ts"]));
  expect(reached.filter((name) => /^(?:rfc9111|web)\//.test(name))).toEqual([]);
});
