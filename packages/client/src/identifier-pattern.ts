/** An id, with a quote before it, that may stand in a path, or after which a list goes on: that of which `isIdentifier` of the schema package says yes. */
export const identifierPattern: RegExp = /^"(?!(\.\.?|register|events|runtimes)$)[\w.~:-]{1,128}$/;
