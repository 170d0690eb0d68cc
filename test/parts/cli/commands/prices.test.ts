import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { batchdrop } from '../../../support/run-script.ts';

let folder: string;
const path = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'batchdrop-prices-'));
  const row = { model: 'ours', tier: 'batch', input: 1, output: 2 };
  await writeFile(path('ours.json'), JSON.stringify({ version: 1, prices: [row] }));
  await writeFile(path('twice.json'), JSON.stringify({ version: 1, prices: [row, row] }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('batchdrop prices', { timeout: 60_000 }, () => {
  it('lists rows with their source and day, exact, as JSON', async () => {
    const { status, stdout } = await batchdrop('prices', 'gpt-6.2-sol', '--json');
    expect(status).toBe(0);
    const { date, rows, derived, residency, fees } = JSON.parse(stdout);
    expect(date).toBe('2026-11-30');
    expect(rows).toHaveLength(6);
    expect(rows[0]).toEqual({
      model: 'gpt-6.2-sol',
      tier: 'standard',
      context: 'short',
      input: '2',
      cached: '0.1',
      cacheWrite: '2.5',
      cacheWrite12h: '5',
      output: '10',
      from: '2026-11-17',
      source: "vendor's model page",
      retrieved: '2026-11-29',
    });
    expect([derived['background-8h'].percent, residency.percent, fees.length]).toEqual([60, 10, 4]);
  });

  it('exits with 3 if the price file says something else than the table', async () => {
    const { status, stdout } = await batchdrop('prices', '--compare', path('ours.json'));
    expect(status).toBe(3);
    expect(stdout).toContain('only here    ours in batch: the table has no price');
  });

  it.each([
    ['a model without a price', ['prices', 'gpt-99'], 'no model of the price table begins with gpt-99'],
    [
      'a file that is not there',
      ['prices', '--compare', '/nowhere.json'],
      '--compare /nowhere.json: a price file',
    ],
  ])('refuses %s with status 2', async (_what, parameters, message) => {
    const { status, stderr } = await batchdrop(...parameters);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  it('refuses two rows that overlap with status 2, and names both', async () => {
    const { status, stderr } = await batchdrop('prices', '--compare', path('twice.json'));
    expect(status).toBe(2);
    expect(stderr).toContain('row 0 (ours in batch) and row 1 (ours in batch) overlap');
  });
});
