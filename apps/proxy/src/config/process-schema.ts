/** The whole configuration file: what every runtime has, and what only a process has, which observes itself and keeps files. */
import * as v from "valibot";
import { shadowRules } from "../auth/shadow-rules.ts";
import { oneOf } from "../lib/strict-schemas.ts";
import { identityLabels } from "../metrics/settings.ts";
import { auditEntries, fileEntries } from "./file-schema.ts";
import { type ConfigFile, logLevels, type OtlpFile } from "./file.ts";
import { list, number, object, setting, text } from "./schema-helpers.ts";

const OtlpSchema: v.GenericSchema<unknown, OtlpFile> = object({
  endpoint: v.exactOptional(
    setting(
      text(2_048),
      "Base URL of an OTLP/HTTP receiver, such as http://127.0.0.1:4318. Default: nothing is pushed.",
    ),
  ),
  intervalMs: v.exactOptional(
    setting(number(1_000, 3_600_000), "Time between two pushes of metrics, in milliseconds. Default: 60000."),
  ),
  sampleRatio: v.exactOptional(
    setting(
      v.pipe(v.number(), v.minValue(0, "must be a number from 0 to 1"), v.maxValue(1, "must be a number from 0 to 1")),
      "Share of the requests whose spans are pushed where the caller has not decided, from 0 to 1. Default: 0.",
    ),
  ),
  serviceName: v.exactOptional(setting(text(128), "The `service.name` of the gateway. Default: letta-proxy.")),
});

/** {@link ConfigFile}, strict: a misspelt setting is an error, never ignored. */
export const ConfigFileSchema: v.GenericSchema<unknown, ConfigFile> = object({
  ...fileEntries,
  logLevel: v.exactOptional(
    setting(
      oneOf(logLevels),
      "Lowest level of events in the log. Default: info. With debug, also probes, files of pages, and what devices report.",
    ),
  ),
  shadow: v.exactOptional(
    object({
      keyIds: setting(
        list(text(64), 1_000),
        "Keys whose restrictions are logged and counted, and NOT enforced: they can do what their scopes allow.",
      ),
      rules: v.exactOptional(
        setting(
          list(oneOf(shadowRules), shadowRules.length),
          "Only these: devices, agents, maxMode. Default: all three.",
        ),
      ),
    }),
  ),
  metrics: v.exactOptional(
    object({
      enabled: v.exactOptional(
        setting(v.boolean(), "Whether events are counted, and /metrics is served to scope admin. Default: true."),
      ),
      labels: v.exactOptional(
        setting(
          list(oneOf(identityLabels), identityLabels.length),
          "Ids that become labels: tenant, key, device. Needs admin.port. Default: none.",
        ),
      ),
    }),
  ),
  otlp: v.exactOptional(OtlpSchema),
  audit: v.exactOptional(
    object({
      ...auditEntries,
      retentionDays: v.exactOptional(
        setting(number(1, 36_500), "Days after which records of the audit log are dropped. Default: never."),
      ),
    }),
  ),
});
