/**
 * Counts which source files run, with V8's precise coverage. As a preload (`node --import`) it measures the process it is loaded
 * into: every SIGUSR2 prints the files that ran since the previous one, as a line `covered: [...]`.
 */
import { Session } from "node:inspector";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { repositoryRoot } from "./repository.mjs";

const root = `${pathToFileURL(repositoryRoot).href}/`;

/** Starts counting. The returned function lists the source files in which a function ran since its last call, or since the start. */
export function startCoverage() {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
  return () => {
    /** @type {string[]} */
    let files = [];
    // With a session in the same thread, the callback runs before `post` returns.
    session.post("Profiler.takePreciseCoverage", (error, { result }) => {
      if (error !== null) throw error;
      files = result
        .filter(({ functions }) => functions.some(({ ranges: [whole] }) => whole !== undefined && whole.count > 0))
        .filter(({ url }) => url.startsWith(root))
        .map(({ url }) => decodeURI(url.slice(root.length)))
        .filter((path) => /^(?:apps|packages)\/(?!testkit\/)[^/]+\/src\//.test(path));
    });
    return files.sort();
  };
}

if (process.execArgv.join(" ").includes(import.meta.url) || process.env.NODE_OPTIONS?.includes(import.meta.url)) {
  const take = startCoverage();
  process.on("SIGUSR2", () => process.stdout.write(`covered: ${JSON.stringify(take())}\n`));
}
