/**
 * Labels of a device: a name to display, and tags. Only the server assigns them, never the device. All rows of a device share them,
 * and they stay when the device registers again.
 */
import * as v from "valibot";
import type { PlainResponse } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";
import { isDisplayable, isTag } from "../base/rules.ts";
import { IdentifierSchema, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** The labels of a device. */
export interface DeviceLabels {
  /** Name that is shown next to the device's own name; `null`: none. */
  readonly displayName: string | null;
  /** In ascending order, each once. */
  readonly tags: readonly string[];
}

/** Changes of a device's labels. An absent member stays unchanged, and `null` clears it (RFC 7396). */
export interface EnvironmentPatch {
  /** Name to display. */
  displayName?: string | null;
  /** Replaces all tags of the device. */
  tags?: string[] | null;
}

/** The query of a removal. */
export interface RemoveEnvironmentQuery {
  /** `id` of the only row to remove. */
  id?: string;
}

/** Maximum number of tags of a device. */
export const maxTags = 20;

/** The rule of a tag in words. */
export const tagRule: string = "must be 1 to 64 characters from A-Z a-z 0-9 . _ : - and begin with a letter or a digit";

/** The rule of {@link isTag} as a schema. */
export const TagSchema: v.GenericSchema<string> = /* @__PURE__ */ tag();

function tag(): v.GenericSchema<string> {
  return v.pipe(v.string(), v.check<string, string>(isTag, tagRule));
}

/** Schema of {@link EnvironmentPatch}. Unknown members are kept. */
export const EnvironmentPatchSchema: WireObjectSchema<EnvironmentPatch> = /* @__PURE__ */ wireObject(() => ({
  displayName: v.exactOptional(
    v.nullable(
      v.pipe(
        v.string(),
        v.minLength(1, "must not be empty; null clears it"),
        v.maxLength(128, "must have at most 128 characters"),
        v.check(isDisplayable, "must not have control characters or unpaired surrogates"),
      ),
    ),
  ),
  tags: v.exactOptional(
    v.nullable(v.pipe(v.array(TagSchema), v.maxLength(maxTags, `must have at most ${maxTags} tags`))),
  ),
}));

/** Schema of {@link RemoveEnvironmentQuery}. Unknown members are kept. */
export const RemoveEnvironmentQuerySchema: WireObjectSchema<RemoveEnvironmentQuery> = /* @__PURE__ */ wireObject(
  () => ({ id: v.exactOptional(IdentifierSchema) }),
);

/** Returns 400 `invalid_request` for a patch without a change, else `null`. */
export function refuseEmptyPatch({ displayName, tags }: EnvironmentPatch): PlainResponse | null {
  if (displayName !== undefined || tags !== undefined) return null;
  return problemResponse("invalid_request", { issues: [{ member: "body", rule: "must have displayName or tags" }] });
}

/** Returns the labels after a change. */
export function patchLabels(labels: DeviceLabels, { displayName, tags }: EnvironmentPatch): DeviceLabels {
  return {
    displayName: displayName === undefined ? labels.displayName : displayName,
    tags: tags === undefined ? labels.tags : sortTags(tags ?? []),
  };
}

/** Returns tags in ascending order, each once. */
export function sortTags(tags: readonly string[]): readonly string[] {
  return [...new Set(tags)].toSorted();
}
