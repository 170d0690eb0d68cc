/** The bounded form of `npm run chaos`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ensureSynth } from '../../../local/stack/synth.ts';
import { findHarm, runChaos } from './chaos.ts';

const SEED = 1;

test('jobs whose functions and stack are killed at any call end with the files of a calm run, and nothing is bought twice', {
  timeout: 300_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'batchdrop-chaos-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const cdkOut = await ensureSynth({ root: resolve(import.meta.dirname, '../../..') });
  const options = { cdkOut, requests: 2_000, seed: SEED, mostCallsBetween: 20 };
  const calm = await runChaos({ ...options, dir: join(folder, 'calm'), deaths: 0 });
  const run = await runChaos({ ...options, dir: join(folder, 'run'), deaths: 6 });
  expect(findHarm(calm, run), `seed ${SEED}`).toEqual([]);
  expect(calm.boughtTwice.size).toBeGreaterThan(0);
  expect(run.deaths.length).toBeGreaterThan(15);
  expect(run.starts).toBeGreaterThan(1);
});
