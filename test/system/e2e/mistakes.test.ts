/** One text for one mistake: what `plan`, `local process`, the receipt and the errors file say of the same line. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Receipt } from '../../../src/contract/receipt.ts';
import { MISTAKES } from '../../support/mistakes.ts';
import { batchdrop } from '../../support/run-script.ts';

/** The messages of lines that are shown of a file, in JSON. */
const messagesOf = ({ firstInvalid }: Pick<Receipt, 'firstInvalid'>): string[] =>
  Object.values(firstInvalid).flatMap((lines) => lines.map(({ message }) => message));

test('plan, process, the receipt and the errors file say the same of a mistake', {
  timeout: 240_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-mistakes-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const names = MISTAKES.map((_, index) => `mistake-${String(index).padStart(2, '0')}`);
  const files = names.map((name) => join(dir, `${name}.jsonl`));
  for (const [index, [, line]] of MISTAKES.entries()) await writeFile(files[index]!, line);
  const out = join(dir, 'out');

  const plan = await batchdrop('plan', ...files, '--json');
  const planned: Pick<Receipt, 'firstInvalid'>[] = JSON.parse(plan.stdout).files;
  const planText = (await batchdrop('plan', ...files)).stdout.replace(/\s+/g, ' ');
  const process = await batchdrop('local', 'process', ...files, '--out', out, '--state', join(dir, 'state'));
  const processText = process.stdout.replace(/\s+/g, ' ');

  for (const [index, [what, , said]] of MISTAKES.entries()) {
    const name = names[index]!;
    const receipt = JSON.parse(await readFile(join(out, 'receipts', `${name}.json`), 'utf8'));
    const [message, ...others] = messagesOf(receipt);
    expect(others, what).toEqual([]);
    expect(message, what).toContain(said);
    expect(messagesOf(planned[index]!), what).toEqual([message]);
    const errors = await readFile(join(out, 'errors', `${name}.jsonl`), 'utf8');
    expect(JSON.parse(errors).error.message, what).toBe(message);
    for (const text of [planText, processText]) expect(text, what).toContain(message);
  }
});
