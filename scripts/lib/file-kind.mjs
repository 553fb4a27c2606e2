/** True for tests, type tests and what only they use. @param {string} path relative to the repository */
export function isTestFile(path) {
  return /\.test(?:-d)?\.m?ts$|\.test\.mjs$/.test(path) || /^(?:packages|apps)\/[^/]+\/test\//.test(path);
}

/** True for the configuration of a tool, and for what a package runs to make its own files. @param {string} path */
export function isToolConfig(path) {
  if (/^(?:packages|apps)\/[^/]+\/scripts\//.test(path)) return true;
  return /(?:^|\/)[^/]+\.(?:config|shared)\.m?[jt]s$/.test(path);
}

/** True for a module that is written by hand, TypeScript or script. @param {string} path */
export function isModule(path) {
  return /\.(?:ts|mts|tsx|mjs)$/.test(path) && !path.endsWith(".gen.ts") && !path.endsWith(".d.ts");
}
