/** A sequence of keys, the same in each run. */
export interface Trace {
  readonly name: string;
  readonly keys: readonly string[];
}

const length = 400_000;
const population = 50_000;

/** A generator of numbers from 0 to 1 with a seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Draws ranks such that the n-th is drawn in proportion to n to the power of minus `skew`. */
function createZipf(skew: number, random: () => number): () => number {
  const cumulated = new Float64Array(population);
  let total = 0;
  for (let rank = 0; rank < population; rank++) cumulated[rank] = total += 1 / (rank + 1) ** skew;
  return () => {
    const wanted = random() * total;
    let [low, high] = [0, population - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulated[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** The traces on which the policies are compared. */
export function createTraces(): readonly Trace[] {
  return [0.7, 0.9, 1.1].flatMap((skew) => [zipf(skew), withScans(skew), shifting(skew)]);
}

function zipf(skew: number): Trace {
  const draw = createZipf(skew, createRandom(1));
  return { name: `Zipf ${skew}`, keys: Array.from({ length }, () => `k${draw()}`) };
}

/** One in five requests belongs to a walk through keys that are asked for once. */
function withScans(skew: number): Trace {
  const draw = createZipf(skew, createRandom(2));
  let scanned = 0;
  const keys = Array.from({ length }, (_, index) => (index % 10_000 < 2_000 ? `s${scanned++}` : `k${draw()}`));
  return { name: `Zipf ${skew} with scans`, keys };
}

/** The popular keys change completely, eight times. */
function shifting(skew: number): Trace {
  const draw = createZipf(skew, createRandom(3));
  const keys = Array.from({ length }, (_, index) => `k${Math.floor(index / 50_000)}-${draw()}`);
  return { name: `Zipf ${skew}, shifting`, keys };
}
