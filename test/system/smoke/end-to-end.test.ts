/**
 * The main job as a person runs it, once: the command line, the synthesized stack in processes of its own, the
 * emulator.
 */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { moviesFile, processFiles } from '../../support/process-files.ts';

const LONG = { timeout: 180_000 };

test(
  '3,201 films become 3,201 answers in input order, and the receipt agrees with the files',
  LONG,
  async () => {
    const input = await moviesFile(3_201);
    const { status, receipts, lines } = await processFiles([input]);
    expect(status).toBe(0);
    expect(receipts.map((receipt) => [receipt.result, receipt.counts])).toEqual([
      ['succeeded', { requests: 3_201, succeeded: 3_201, failed: 0, invalid: 0 }],
    ]);
    const asked = (await readFile(input, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).custom_id);
    const output = await lines('output/movies.jsonl');
    expect(output.map((line) => line.custom_id)).toEqual(asked);
    const sum = (field: string) => output.reduce((total, line) => total + line.response.body.usage[field], 0);
    expect(receipts[0]!.usage).toMatchObject({
      inputTokens: sum('prompt_tokens'),
      outputTokens: sum('completion_tokens'),
    });
  },
);
