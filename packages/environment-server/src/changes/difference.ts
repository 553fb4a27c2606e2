/** Differences between two JSON objects, as a merge patch (RFC 7396): members that changed, and `null` for removed ones. */
import { isMembers, type Members } from "../dialects/values.ts";

/** Returns the patch that turns `before` into `after`; `null` when nothing differs. Arrays are replaced as a whole. */
export function differenceOf(before: Members, after: Members): Members | null {
  const patch: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    // In a patch, an absent member and one that is null are the same.
    const [left, right] = [before[name] ?? null, after[name] ?? null];
    if (isMembers(left) && isMembers(right)) {
      const inner = differenceOf(left, right);
      if (inner !== null) patch[name] = inner;
    } else if (JSON.stringify(left) !== JSON.stringify(right)) patch[name] = right;
  }
  return Object.keys(patch).length === 0 ? null : patch;
}
