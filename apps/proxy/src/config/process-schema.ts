/** The schema of the whole configuration file: members for every runtime, and members for a process, which observes itself and keeps files. */
import * as v from "valibot";
import { shadowRules } from "../auth/shadow.ts";
import { oneOf } from "../lib/strict-schemas.ts";
import { identityLabels } from "../metrics/settings.ts";
import { fileEntries } from "./file-schema.ts";
import { type ConfigFile, logLevels, type OtlpFile } from "./file.ts";
import { list, number, object, text } from "./schema-helpers.ts";

const OtlpSchema: v.GenericSchema<unknown, OtlpFile> = object({
  endpoint: v.exactOptional(text(2_048)),
  intervalMs: v.exactOptional(number(1_000, 3_600_000)),
  sampleRatio: v.exactOptional(
    v.pipe(v.number(), v.minValue(0, "must be a number from 0 to 1"), v.maxValue(1, "must be a number from 0 to 1")),
  ),
  serviceName: v.exactOptional(text(128)),
});

/** {@link ConfigFile}, strict: a misspelt setting is an error, never ignored. */
export const ConfigFileSchema: v.GenericSchema<unknown, ConfigFile> = object({
  ...fileEntries,
  logLevel: v.exactOptional(oneOf(logLevels)),
  shadow: v.exactOptional(
    object({
      keyIds: list(text(64), 1_000),
      rules: v.exactOptional(list(oneOf(shadowRules), shadowRules.length)),
    }),
  ),
  metrics: v.exactOptional(
    object({
      enabled: v.exactOptional(v.boolean()),
      labels: v.exactOptional(list(oneOf(identityLabels), identityLabels.length)),
    }),
  ),
  otlp: v.exactOptional(OtlpSchema),
});
