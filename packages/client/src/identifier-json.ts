/** The JSON of an id that may stand in a path, or after which a list goes on: that of which `isIdentifier` of the schema package says yes. */
export const identifierJson: RegExp = /^"(?!(\.\.?|register|events|runtimes)")[\w.~:-]{1,128}"$/;
