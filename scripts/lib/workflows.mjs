/** Rules for the workflows that no linter has: everything they run is pinned, and they get only the rights that they name. */

/**
 * Lists the violations in a workflow, each with its line.
 *
 * @param {string} text of the YAML file
 * @returns {string[]} `LINE: RULE`
 */
export function findWorkflowProblems(text) {
  const problems = text.split("\n").flatMap((line, index) => {
    const [, used] = /^\s*(?:- )?uses:\s*(.*)$/.exec(line) ?? [];
    if (used === undefined) return [];
    const isPinned = /^(?:[\w.-]+\/)+[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(used.trim());
    return isPinned
      ? []
      : [`${index + 1}: pin an action by the digest of its commit, and name its version: OWNER/NAME@DIGEST # v1.2.3`];
  });
  if (!/^permissions:\n {2}contents: read$/m.test(text)) {
    problems.push("1: start with `permissions: contents: read`; a job that needs more names it");
  }
  if (/\$\{\{[^}]*github\.event\./.test(text))
    problems.push("1: texts of an event are untrusted input; do not insert them");
  return problems;
}
