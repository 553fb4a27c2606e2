/** How many limits a request falls under at each port of a server that is measured with and without them. */
export const limitCounts: readonly number[] = [0, 1, 3];

/** Windows of the limits, in milliseconds: the first ones, as many as there are limits. */
export const limitWindowsMs: readonly number[] = [60_000, 1_000, 86_400_000];
