/**
 * Decides from the reports of a device whether it has changed the directory of a conversation. There is no response to the
 * command. A device resolves symbolic links, so it may report another path than the one it received; and for a directory that
 * does not exist it reports the old one again. So the report before the change is compared with the reports after it.
 */

/** A conversation's directory, as one status of a device shows it. */
export interface ReportedDirectory {
  /** `null`: the device does not report one, or its path is too long. */
  readonly directory: string | null;
  /** Number that a device raises with each change that it makes or refuses, in any conversation; `null` for older devices. */
  readonly revision: number | null;
}

/** `null`: not decided by this report. */
type DirectoryDecision = { readonly kind: "changed"; readonly directory: string } | { readonly kind: "refused" } | null;

/**
 * Decides from one report whether the directory has changed.
 *
 * @param before the first report after the command was requested; `null` when `now` is that report
 */
export function decideDirectoryChange(
  requested: string,
  before: ReportedDirectory | null,
  now: ReportedDirectory,
): DirectoryDecision {
  const { directory } = now;
  if (directory === null) return null;
  if (isSameDirectory(directory, requested)) return { kind: "changed", directory };
  if (before === null) return null;
  if (directory !== before.directory) return { kind: "changed", directory };
  return now.revision !== before.revision ? { kind: "refused" } : null;
}

function isSameDirectory(left: string, right: string): boolean {
  return withoutTrailingSlash(left) === withoutTrailingSlash(right);
}

function withoutTrailingSlash(path: string): string {
  let end = path.length;
  // Not a pattern, which would take quadratic time for a path of slashes that ends with another character.
  while (end > 1 && (path[end - 1] === "/" || path[end - 1] === "\\")) end--;
  return path.slice(0, end);
}
