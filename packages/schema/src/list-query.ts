import * as v from "valibot";
import { IdentifierSchema } from "./identifier.ts";
import { wireObject } from "./wire-object.ts";
import { isListLimit, maxListLimit } from "./wire-rules.ts";

/** Where an environment's server runs, as the API names it. */
export type EnvironmentSource = "local" | "remote";

/** What a caller may ask of the list, as values. */
export interface ListEnvironmentsQuery {
  /** `id` of the last row already seen. */
  after?: string;
  /** Rows a page, 1 to {@link maxListLimit}. */
  limit?: number;
  /** Only devices that can be messaged now. */
  onlineOnly?: boolean;
  source?: EnvironmentSource;
  userId?: string;
}

/** The same query as it stands in a URL: every value is a string (API text). */
export interface ListEnvironmentsWireQuery {
  after?: string;
  limit?: string;
  onlineOnly?: string;
  source?: EnvironmentSource;
  userId?: string;
}

const limitRule = `must be a whole number from 1 to ${maxListLimit}`;

/** Rows a page as they stand in a URL: 1 to {@link maxListLimit}. */
export const ListLimitSchema: v.GenericSchema<unknown, number> = v.pipe(
  v.string(),
  v.check(isListLimit, limitRule),
  v.transform(Number),
);

const WireBooleanSchema = v.pipe(
  v.picklist(["true", "false"], "must be true or false"),
  v.transform((value) => value === "true"),
);

/** Wire strings to values. Unknown members pass, for an upstream that knows more. */
export const ListEnvironmentsQuerySchema: v.GenericSchema<unknown, ListEnvironmentsQuery> = wireObject({
  after: v.exactOptional(IdentifierSchema),
  limit: v.exactOptional(ListLimitSchema),
  onlineOnly: v.exactOptional(WireBooleanSchema),
  source: v.exactOptional(v.picklist(["local", "remote"], "must be local or remote")),
  userId: v.exactOptional(
    v.pipe(v.string(), v.minLength(1, "must not be empty"), v.maxLength(256, "must have at most 256 characters")),
  ),
});

export { formatListQuery } from "./format-list-query.ts";
