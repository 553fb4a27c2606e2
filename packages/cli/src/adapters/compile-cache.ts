/** The cache of compiled code. With it, a command takes less than half of the processor time. */
import { lstatSync, mkdirSync, readdirSync, type Stats, statSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import process from "node:process";

/** Keeps the code that is loaded from now on, compiled, for the next start. Without a place for it, or on Deno, nothing happens. */
export function enableCompileCache(): void {
  const enable: typeof module.enableCompileCache | undefined = module.enableCompileCache;
  if (enable === undefined) return;
  const { XDG_CACHE_HOME: chosen = "" } = process.env;
  try {
    const caches = isAbsolute(chosen) ? chosen : join(homedir(), ".cache");
    // Node's own default is below a folder that all users share, so another user could place code there.
    const folder = join(caches, "letta-env");
    // One after the other: Node never returns if it has to create a folder and its parent in a file system that allows none, such as /proc.
    for (const each of [caches, folder]) makeFolder(each);
    // Windows has no user ids, and the folders of a user there are private.
    const userId = process.geteuid?.();
    if (userId === undefined || isPrivate(caches, folder, userId)) enable(folder);
  } catch {
    // It works without a cache.
  }
}

function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) mkdirSync(path, { mode: 0o700 });
}

/** Whether only this user can have placed something in a folder of compiled code, which Node runs without a check. Throws if it cannot be read. */
export function isPrivate(parent: string, folder: string, userId: number): boolean {
  const { uid, mode } = statSync(parent);
  // In a folder with the sticky bit, only the owner of an entry, or of the folder, can replace the entry.
  const isReplaceable = (uid !== userId && uid !== 0) || ((mode & 0o022) !== 0 && (mode & 0o1000) === 0);
  const isOwnFolder = (stats: Stats): boolean => stats.isDirectory() && stats.uid === userId;
  const stats = lstatSync(folder);
  // Nobody else can enter the folder, so the modes inside do not matter.
  if (isReplaceable || !isOwnFolder(stats) || (stats.mode & 0o077) !== 0) return false;
  return readdirSync(folder).every((name) => isOwnFolder(lstatSync(join(folder, name))));
}
