/**
 * Mints an id `<prefix>-<26 characters>` that nobody can guess and that sorts by the time at which it was minted
 * (to the millisecond), so that rows ordered by id only ever grow at the end.
 */
export type RandomId = (prefix: string) => string;
