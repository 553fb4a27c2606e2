import * as v from "valibot";
import type { Problem } from "./problem.ts";
import { wireObject } from "./wire-object.ts";

/** {@link Problem} as a caller may read it: tolerant, since an upstream can have its own members. */
export const ProblemSchema: v.GenericSchema<unknown, Problem> = wireObject({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  message: v.string(),
  error: v.string(),
  errorCode: v.string(),
  errors: v.exactOptional(v.array(wireObject({ member: v.string(), rule: v.string() }))),
});
