/** The JSON of an id that may stand in a path, or after which a list goes on: `identifierPattern` of the schema package, in quotes. */
export const identifierJson: RegExp = /^"(?!(\.\.?|register|events|runtimes)")[\w.~:-]{1,128}"$/;
