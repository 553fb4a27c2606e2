/**
 * Paths of what nobody can use an answer without, whatever the response policy is: the whole, the rows of a list, the id of a row, whether a send
 * succeeded.
 */
export const essentialPath: RegExp = /^(connections(\[\d+])?|id|success)?$/;
