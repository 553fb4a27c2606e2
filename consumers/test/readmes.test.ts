/** The READMEs of the packages, from their tarballs. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, expect, inject, test } from "vitest";
import { createProject } from "../support/project.ts";

const root = mkdtempSync(join(tmpdir(), "readmes-"));
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));

test.each(inject("tarballs").map(({ name }) => name))(
  "the command in the README of %s installs the package from its tarball in an empty folder",
  async (name) => {
    mkdirSync(join(root, "letta-packages"), { recursive: true });
    for (const { path } of inject("tarballs")) copyFileSync(path, join(root, "letta-packages", basename(path)));
    const readme = readFileSync(join(inject("everything"), "node_modules", name, "README.md"), "utf8");
    expect(readme).toContain("The package is not published yet.");
    const command = /^ *(npm install \.\.\/letta-packages\/.*)$/m.exec(readme)?.[1] ?? "";
    const project = createProject(join(root, basename(name)), inject("installation"));
    // The packages come from the tarballs that the command names, and from nowhere else.
    rmSync(join(project.folder, ".npmrc"));
    const { code, output } = await project.run("bash", ["-ec", `${command} --ignore-scripts`]);
    expect({ code, output }).toMatchObject({ code: 0 });
    const installed = join(project.folder, "node_modules", name);
    for (const file of ["package.json", "README.md", "LICENSE", "NOTICE"])
      expect(existsSync(join(installed, file))).toBe(true);
  },
);
