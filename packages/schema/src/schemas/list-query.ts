/**
 * The query of `listEnvironments`, in two forms: as values (`limit: 20`) and as strings in a URL (`limit=20`). The schema
 * decodes strings to values.
 */
import * as v from "valibot";
import { isListLimit, maxListLimit } from "../base/rules.ts";
import { maxTags, TagSchema } from "./labels.ts";
import { IdentifierSchema, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** Where the server of an environment runs, by the names of the API. */
export type EnvironmentSource = "local" | "remote";

/** The query as values. */
export interface ListEnvironmentsQuery {
  /** `id` of the last row of the previous page. */
  after?: string;
  /** Rows in a page, 1 to {@link maxListLimit}. */
  limit?: number;
  /** Only devices that can receive messages now. */
  onlineOnly?: boolean;
  /** Only devices of this kind. */
  source?: EnvironmentSource;
  /** Only devices of this user. Without the scope `details`, rows show no user, and such a list is empty. */
  userId?: string;
  /** Only devices that have all these tags. */
  tag?: string[];
}

/** The query as it is written in a URL: every value is a string (API text), or several for a parameter that may be repeated. */
export interface ListEnvironmentsWireQuery {
  after?: string;
  limit?: string;
  onlineOnly?: string;
  source?: EnvironmentSource;
  userId?: string;
  /** May be given several times. */
  tag?: string[];
}

/** Decodes `limit` from its string to a number, 1 to {@link maxListLimit}. */
export const ListLimitSchema: v.GenericSchema<string, number> = /* @__PURE__ */ listLimit();

function listLimit(): v.GenericSchema<string, number> {
  return v.pipe(v.string(), v.check(isListLimit, `must be an integer from 1 to ${maxListLimit}`), v.transform(Number));
}

/** Decodes the strings of a query to values. Unknown members are kept, for a newer upstream. */
export const ListEnvironmentsQuerySchema: WireObjectSchema<ListEnvironmentsQuery, ListEnvironmentsWireQuery> =
  /* @__PURE__ */ wireObject(() => ({
    after: v.exactOptional(IdentifierSchema),
    limit: v.exactOptional(ListLimitSchema),
    onlineOnly: v.exactOptional(
      v.pipe(
        v.picklist(["true", "false"], "must be true or false"),
        v.transform((value) => value === "true"),
      ),
    ),
    source: v.exactOptional(v.picklist(["local", "remote"], "must be local or remote")),
    userId: v.exactOptional(
      v.pipe(v.string(), v.minLength(1, "must not be empty"), v.maxLength(256, "must have at most 256 characters")),
    ),
    tag: v.exactOptional(v.pipe(v.array(TagSchema), v.maxLength(maxTags, `must be given at most ${maxTags} times`))),
  }));
