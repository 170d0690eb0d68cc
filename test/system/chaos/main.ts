/** `npm run chaos`: a calm run, then runs with deaths, each held against it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureSynth } from '../../../local/stack/synth.ts';
import type { Receipt } from '../../../src/contract/receipt.ts';
import { findDoubleBuys, findHarm, runChaos } from './chaos.ts';

const USAGE = `npm run chaos -- [options]

  --requests N   lines of both files together, default 50000
  --runs N       runs with deaths, default 3
  --seed N       of the first run, default from the clock; the others follow
  --deaths N     deaths of each function in a run, at most, default 12
  --between N    most calls of a function between two of its deaths, default 20
`;

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '50000' },
    runs: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    deaths: { type: 'string', default: '12' },
    between: { type: 'string', default: '20' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const say = (text: string) => process.stdout.write(`${text}\n`);
const folder = mkdtempSync(join(tmpdir(), 'batchdrop-chaos-'));
const cdkOut = await ensureSynth({ root: resolve(import.meta.dirname, '../../..'), onProgress: say });
const requests = Number(values.requests);
const firstSeed = Number(values.seed);

async function run(name: string, seed: number, deaths: number) {
  const startedAt = performance.now();
  const dir = join(folder, name);
  const result = await runChaos({
    dir,
    cdkOut,
    requests,
    seed,
    deaths,
    mostCallsBetween: Number(values.between),
  });
  const killed = result.deaths.filter(({ victim }) => victim === 'function').length;
  const totals = (part: (receipt: Receipt) => Record<string, number>) => {
    const sums: Record<string, number> = {};
    for (const { receipt } of result.jobs) {
      for (const [name, count] of Object.entries(part(receipt))) sums[name] = (sums[name] ?? 0) + count;
    }
    return JSON.stringify(sums);
  };
  say(
    `${name}: ${totals(({ counts }) => counts)}, possibly billed twice ` +
      `${totals(({ possiblyBilledTwice }) => possiblyBilledTwice)}; ${killed} functions and ${result.starts - 1} ` +
      `stacks killed, ${((result.polls * 5) / 60).toFixed(1)} h of its time in ` +
      `${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
  );
  return { result, dir };
}

/** Whatever ends this process, the last line says what came of it. */
let verdict: string | undefined;
process.on('exit', (status) => {
  say(
    verdict ??
      `no verdict: the process ended with status ${status} before the last run did; state: ${folder}`,
  );
  if (verdict === undefined) process.exitCode = 1;
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    verdict = `no verdict: stopped by ${signal} before the last run ended; state: ${folder}`;
    process.exit(1);
  });
}

const runs = Number(values.runs);
let passed = 0;
try {
  const calm = await run('calm', firstSeed, 0);
  const harmOfCalm = findDoubleBuys(calm.result);
  for (const sentence of harmOfCalm) say(`  ${sentence}`);
  for (let index = 0; index < runs; index += 1) {
    const seed = firstSeed + index;
    const again = `npm run chaos -- --requests ${requests} --runs 1 --seed ${seed}`;
    try {
      const { result, dir } = await run(`seed-${seed}`, seed, Number(values.deaths));
      const harm = findHarm(calm.result, result);
      for (const sentence of harm) say(`  ${sentence}`);
      if (harm.length === 0) {
        passed += 1;
        rmSync(dir, { recursive: true, force: true });
      } else say(`  Again: ${again}; state: ${dir}`);
    } catch (error) {
      say(`seed-${seed} did not come to its end: ${(error as Error).stack}`);
      say(`  Again: ${again}; state: ${join(folder, `seed-${seed}`)}`);
    }
  }
  const isGood = passed === runs && harmOfCalm.length === 0;
  verdict = `verdict: ${passed} of ${runs} runs ended as the calm one${harmOfCalm.length === 0 ? '' : ', which bought something twice'}`;
  if (isGood) rmSync(folder, { recursive: true, force: true });
  process.exitCode = isGood ? 0 : 1;
} catch (error) {
  verdict = `verdict: failed: the calm run did not come to its end: ${(error as Error).stack}`;
  process.exitCode = 1;
}
