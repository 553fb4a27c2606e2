import * as v from "valibot";
import { identifierRule, isIdentifier } from "./is-identifier.ts";

/** An id that may stand in a path. */
export const IdentifierSchema: v.GenericSchema<unknown, string> = /* @__PURE__ */ v.pipe(
  v.string(),
  v.check<string, string>(isIdentifier, `must be ${identifierRule}`),
);
