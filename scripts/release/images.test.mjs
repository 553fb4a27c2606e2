import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { describe, expect, onTestFinished, test } from "vitest";
import { findUnpinnedImages, imagesIn, mayNameImages, pinImages } from "./images.mjs";
import { readText, repositoryFiles, repositoryRoot } from "../lib/repository.mjs";

const digest = `sha256:${"a".repeat(64)}`;
const dockerfile = `FROM node:24-slim AS build\nRUN x\nFROM build\nFROM registry.example/a/b:1.2@${digest}\n`;

describe("images and their digests", () => {
  test("images are found with their lines, and stages of a Dockerfile do not count", () => {
    expect(imagesIn(dockerfile)).toEqual([
      { name: "node:24-slim", digest: null, line: 1 },
      { name: "registry.example/a/b:1.2", digest, line: 4 },
    ]);
    expect(imagesIn("    container: node:24-trixie\n  image: valkey/valkey:8.1-alpine\n  build: .\n")).toHaveLength(2);
  });

  test("images get digests, in place of older ones", () => {
    const newer = `sha256:${"b".repeat(64)}`;
    const pinned = pinImages(dockerfile, () => newer);
    expect(imagesIn(pinned).map((image) => image.digest)).toEqual([newer, newer]);
    expect(pinned).toContain(`FROM node:24-slim@${newer} AS build\n`);
    expect(findUnpinnedImages([{ path: "Dockerfile", text: pinned }])).toEqual([]);
  });

  test("images of this repository are all recognised, so that a release does not miss one", () => {
    for (const path of repositoryFiles().filter(mayNameImages)) {
      const text = readText(path);
      const named = text.split("\n").filter((line) => /^\s*(?:FROM|image:|container:)\s/.test(line));
      expect([path, imagesIn(text).length]).toEqual([path, named.length]);
    }
  });
});

describe("the command that pins images", () => {
  const program = "scripts/release/pin-images.mjs";

  /** A copy of the files that it reads and writes, with a program `docker` that prints the text. @param {string} printed */
  function copyWith(printed) {
    const folder = mkdtempSync(join(tmpdir(), "pin-images-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const images = repositoryFiles().filter(mayNameImages);
    for (const path of [
      ...images,
      program,
      "scripts/release/images.mjs",
      "scripts/lib/repository.mjs",
      "package.json",
    ]) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      cpSync(join(repositoryRoot, path), join(folder, path));
    }
    mkdirSync(join(folder, "bin"));
    if (printed !== "") writeFileSync(join(folder, "bin/docker"), `#!/bin/sh\n${printed}\n`);
    if (printed !== "") chmodSync(join(folder, "bin/docker"), 0o755);
    /** @returns {{ code: number, text: string }} */
    const run = () => {
      try {
        const env = { PATH: `${join(folder, "bin")}:/usr/bin-that-is-not-there` };
        return {
          code: 0,
          text: execFileSync(process.execPath, [join(folder, program)], { env, encoding: "utf8", stdio: "pipe" }),
        };
      } catch (error) {
        const { status, stderr } = /** @type {{ status: number, stderr: string }} */ (error);
        return { code: status, text: stderr };
      }
    };
    return { folder, images, run };
  }

  test("the command that pins images writes the digest that Docker reports into every file", () => {
    const { folder, images, run } = copyWith(`echo ${digest}`);
    expect(run().code).toBe(0);
    const files = images.map((path) => ({ path, text: readFileSync(join(folder, path), "utf8") }));
    expect(findUnpinnedImages(files)).toEqual([]);
  });

  test.each([
    ["there is no Docker", "", /^pin-images: docker is missing: [^\n]*\n$/],
    ["Docker finds no image", "echo 'not found' >&2; exit 1", /^pin-images: node:24\S* has no digest: not found\n$/],
    ["Docker prints something else", "echo hello", /^pin-images: node:24\S* has no digest: [^\n]*\n$/],
  ])("the command that pins images fails with one line and changes nothing where %s", (_case, printed, line) => {
    const { folder, images, run } = copyWith(printed);
    expect(run()).toEqual({ code: 1, text: expect.stringMatching(line) });
    for (const path of images) expect(readFileSync(join(folder, path), "utf8")).toBe(readText(path));
  });
});
