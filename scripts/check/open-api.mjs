/**
 * Checks the OpenAPI documents against two public rule sets: `recommended` of Redocly and `spectral:oas` of Spectral. Warnings count as errors, and
 * `exceptions` lists what is accepted.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import spectral from "@stoplight/spectral-core";
import spectralRulesets from "@stoplight/spectral-rulesets";
import { readText, repositoryRoot } from "../lib/repository.mjs";

/** @typedef {{ readonly rule: string, readonly pointer: string, readonly message: string }} Finding A rule that a place of a document breaks. */

const documents = ["packages/schema/openapi.json", "apps/proxy/openapi.json"];

const deviceSocket = "/paths/~1v1~1environments~1{connectionId}~1socket/get/responses";

const viewerSocket = "/paths/~1v1~1environments~1{connectionId}~1status~1ws/get/responses";

/** Accepted findings, each with its reason. An unused exception is an error. */
const exceptions = [
  { rule: "operation-2xx-response", pointer: viewerSocket, reason: "A WebSocket handshake succeeds with 101." },
  { rule: "operation-success-response", pointer: viewerSocket, reason: "A WebSocket handshake succeeds with 101." },
  { rule: "operation-2xx-response", pointer: deviceSocket, reason: "A WebSocket handshake succeeds with 101." },
  { rule: "operation-success-response", pointer: deviceSocket, reason: "A WebSocket handshake succeeds with 101." },
];

/** Returns what Redocly finds. @param {string} name @returns {Promise<Finding[]>} */
async function findWithRedocly(name) {
  const program = join(repositoryRoot, "node_modules", ".bin", "redocly");
  const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const words = ["lint", "--extends=recommended-strict", "--format=json", name];
  /** @type {string} */
  const output = await new Promise((resolve) => {
    // It fails when it finds something; its output then lists the findings.
    execFile(program, words, { cwd: repositoryRoot, env, maxBuffer: 64 * 1024 * 1024 }, (_error, stdout) =>
      resolve(stdout),
    );
  });
  /** @type {{ problems: { ruleId: string, message: string, location: { pointer?: string }[] }[] }} */
  const { problems } = JSON.parse(output);
  return problems.map(({ ruleId, message, location }) => ({
    rule: ruleId,
    message,
    pointer: (location[0]?.pointer ?? "").replace(/^#/, ""),
  }));
}

/** Returns what Spectral finds. @param {string} name @returns {Promise<Finding[]>} */
async function findWithSpectral(name) {
  const linter = new spectral.Spectral();
  // The two packages describe the same rule set by different types.
  const rules = /** @type {import("@stoplight/spectral-core").RulesetDefinition} */ (
    /** @type {unknown} */ (spectralRulesets.oas)
  );
  linter.setRuleset({ extends: [rules] });
  const results = await linter.run(JSON.parse(readText(name)));
  return results.map(({ code, message, path }) => ({
    rule: String(code),
    message,
    pointer: path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
  }));
}

const needed = new Set();
const problems = [];
for (const name of documents) {
  for (const finding of [...(await findWithRedocly(name)), ...(await findWithSpectral(name))]) {
    const exception = exceptions.find(({ rule, pointer }) => rule === finding.rule && pointer === finding.pointer);
    if (exception === undefined) problems.push(`${name}${finding.pointer}: ${finding.rule}: ${finding.message}`);
    else needed.add(exception);
  }
}
for (const exception of exceptions) {
  if (!needed.has(exception))
    problems.push(`no finding needs the exception from ${exception.rule} at ${exception.pointer}`);
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(
  `${documents.length} OpenAPI documents, ${exceptions.length} exceptions, ${problems.length} problems\n`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
