/**
 * Makes a file of real requests out of a folder of source code: one review of each file.
 *
 * `node examples/code-review.ts FOLDER [FILE]`
 */
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { writeLines } from './write-lines.ts';

const MODEL = 'gpt-6-luna';
const SOURCES = '**/*.{c,cc,cpp,cs,go,h,java,js,jsx,kt,mjs,php,py,rb,rs,scala,sh,swift,ts,tsx}';
const SKIPPED = ['**/node_modules/**', '**/dist/**', '**/vendor/**', '**/cdk.out/**', '**/.*/**'];
/** Larger files are generated, most of the time. */
const MAX_FILE_BYTES = 200_000;

const INSTRUCTIONS =
  'You review one source file. Name at most five defects that matter: what is wrong, on which line, and what to do. ' +
  'If there is none, say so.';

function* reviewRequests(folder: string): Generator<unknown> {
  for (const path of globSync(SOURCES, { cwd: folder, exclude: SKIPPED }).sort()) {
    const file = join(folder, path);
    if (statSync(file).size > MAX_FILE_BYTES) continue;
    yield {
      custom_id: relative('.', file),
      method: 'POST',
      url: '/v1/responses',
      body: {
        model: MODEL,
        instructions: INSTRUCTIONS,
        input: `File ${path}:\n\n${readFileSync(file, 'utf8')}`,
        max_output_tokens: 2_000,
      },
    };
  }
}

const [folder, path = 'code-review.jsonl'] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node examples/code-review.ts FOLDER [FILE]');
  process.exit(2);
}
if (!existsSync(folder)) {
  console.error(`${folder}: there is no such folder`);
  process.exit(2);
}
console.log(`${path}: ${await writeLines(path, reviewRequests(folder))} requests`);
