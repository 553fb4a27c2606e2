import * as v from "valibot";

/** What `proxy.config.json` may hold. Secrets are no settings: they come from the environment alone. */
export interface ConfigFile {
  /** For editors; not read. */
  $schema?: string;
  host?: string;
  port?: number;
  publicUrl?: string;
  dataDir?: string;
  log?: LogFormat;
  upstream?: {
    /** Absent: the embedded environment server. */
    url?: string;
    /** Accept `http:` beyond loopback. */
    allowInsecure?: boolean;
    timeoutMs?: number;
    maxResponseBytes?: number;
  };
}

/** How the log is written: for people, or one JSON object a line. */
export type LogFormat = "pretty" | "json";

/** Every {@link LogFormat}. */
export const logFormats: readonly LogFormat[] = ["pretty", "json"];

const objectRule = (issue: { readonly expected: string | null }): string =>
  issue.expected === "never" ? "is not a setting" : "must be an object";

// An array would pass for an object whose every member is absent.
function object<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<unknown, v.InferOutput<v.StrictObjectSchema<Entries, undefined>>> {
  const isNotArray = v.check((value: unknown) => !Array.isArray(value), "must be an object");
  return v.pipe(v.unknown(), isNotArray, v.strictObject(entries, objectRule));
}

const TextSchema = v.pipe(v.string(), v.minLength(1, "must not be empty"));

function wholeNumber(minimum: number, maximum: number): v.GenericSchema<unknown, number> {
  const rule = `must be a whole number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(), v.integer(rule), v.minValue(minimum, rule), v.maxValue(maximum, rule));
}

/** {@link ConfigFile}, strict: a misspelt setting is an error, never ignored. */
export const ConfigFileSchema: v.GenericSchema<unknown, ConfigFile> = object({
  $schema: v.exactOptional(v.string()),
  host: v.exactOptional(TextSchema),
  port: v.exactOptional(wholeNumber(0, 65_535)),
  publicUrl: v.exactOptional(TextSchema),
  dataDir: v.exactOptional(TextSchema),
  log: v.exactOptional(v.picklist(logFormats)),
  upstream: v.exactOptional(
    object({
      url: v.exactOptional(TextSchema),
      allowInsecure: v.exactOptional(v.boolean()),
      timeoutMs: v.exactOptional(wholeNumber(1, 600_000)),
      maxResponseBytes: v.exactOptional(wholeNumber(1, 268_435_456)),
    }),
  ),
});
