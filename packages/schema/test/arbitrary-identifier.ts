import fc from "fast-check";
import { isIdentifier } from "../src/index.ts";

/** Any id that may stand in a path. */
export const arbitraryIdentifier: fc.Arbitrary<string> = fc
  .string({
    unit: fc.constantFrom(...Array.from("ABCXYZabcxyz0123456789._~:-")),
    minLength: 1,
    maxLength: 128,
  })
  .filter((text) => isIdentifier(text));
