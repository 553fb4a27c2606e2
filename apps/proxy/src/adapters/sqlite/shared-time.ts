/**
 * The time of a file that several processes may share. Processes that started before and after a change of the wall clock have different
 * times. Each one that finds a later time in the file continues from there, so that none uses an earlier time than another has used, and
 * nothing that is stored expires early or late.
 */

/**
 * Returns a function for the time, which reads the latest one in the file.
 *
 * @param ownNow The steady time of this process, as a whole number of any unit.
 * @param latestStored The latest time in the file, in the same unit.
 */
export function createSharedTime(ownNow: () => number, latestStored: () => number): () => number {
  let ahead = 0;
  function now(): number {
    ahead += Math.max(0, latestStored() - ownNow() - ahead);
    return ownNow() + ahead;
  }
  now();
  return now;
}
