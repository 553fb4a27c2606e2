/** A sample of Prometheus' text format. */
export interface Sample {
  readonly name: string;
  /** The labels as they are written, without braces. */
  readonly labels: string;
  readonly value: number;
}

/** Parses a text without comments, timestamps and exemplars; throws on a line that is none of its samples. */
export function parseSamples(text: string): readonly Sample[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match === null) throw new Error(`this is not a sample: ${line}`);
      return { name: match[1] ?? "", labels: match[2] ?? "", value: Number(match[3]) };
    });
}

/** Returns the values of a metric by their labels, without zeros. */
export function describeSamples(samples: readonly Sample[], name: string): Record<string, number> {
  const found = samples.filter((sample) => sample.name === name && sample.value !== 0);
  return Object.fromEntries(found.map(({ labels, value }) => [labels, value]));
}
