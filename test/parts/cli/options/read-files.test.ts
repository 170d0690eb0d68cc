import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requestLine } from '../../../support/request-lines.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const MAIN = join(import.meta.dirname, '../../../../cli/main.ts');

test('plan reads standard input in place of a file, and answers a mistake in it with what to do', () => {
  const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] };
  const lines = ['/v1/chat/completions', '/chat/completions'].map((url, index) =>
    JSON.stringify({ custom_id: String(index), method: 'POST', url, body }),
  );
  const { status, stdout } = spawnSync(process.execPath, [MAIN, 'plan', '-', '--json'], {
    input: lines.join('\n'),
    encoding: 'utf8',
  });
  expect(status).toBe(3);
  expect(JSON.parse(stdout).files).toMatchObject([
    {
      file: '-',
      lines: 2,
      invalid: 1,
      firstInvalid: {
        invalid_url: [{ line: 2, message: expect.stringContaining("Did you mean '/v1/chat/completions'?") }],
      },
    },
  ]);
});

test('plan reads the files of a folder, those of one name too, and leaves out options', () => {
  const folder = temporaryFolder();
  for (const name of ['a', 'b']) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'x.jsonl'), requestLine(name));
  }
  writeFileSync(join(folder, 'a', 'x.jsonl.options.json'), '{}');
  const { status, stdout } = spawnSync(process.execPath, [MAIN, 'plan', folder, '--json'], {
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  expect(JSON.parse(stdout).files).toMatchObject(
    ['a', 'b'].map((name) => ({ file: join(folder, name, 'x.jsonl'), lines: 1 })),
  );
});
