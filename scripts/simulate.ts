/**
 * `npm run simulate`: the core under thousands of seeds of faults, on every core of the machine. Progress goes to
 * stderr, the result to stdout: as text, or with `--json` as one JSON object. Exits with 1 if a promise was broken,
 * or if the run has not tried enough to prove anything.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { simulate } from '../test/system/simulation/simulation.ts';
import { outcomeOfSeed, type SeedOutcome, Summary } from '../test/system/simulation/summary.ts';
import { KIND_NAMES, KINDS, type Kind, OFF, parseKinds } from '../test/system/simulation/weather.ts';

const USAGE = `npm run simulate -- [options]

  --seeds N     how many seeds (500)
  --first S     the first of them (1)
  --seed S      only this one
  --trace       with --seed: prints every step of it
  --workers N   threads (one for each core)
  --weather K,… these kinds of trouble in every seed, and no others; "all": all of them; "none": none of them
  --kinds       lists the kinds, and which of them are off unless they are asked for
  --json        prints one JSON object
`;

/** Seeds that a thread is given at a time. */
const SEEDS_AT_A_TIME = 25;
/** Violations that are printed. */
const SHOWN = 20;

const wholeNumber = (name: string, text: string, least: number): number => {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new Error(`--${name} is ${JSON.stringify(text)}; a whole number from ${least} on is expected`);
};

if (isMainThread) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    process.exitCode = 2;
  }
} else {
  const { weather } = workerData as { weather: readonly Kind[] | undefined };
  parentPort!.on('message', async (seeds: number[]) => {
    const outcomes: SeedOutcome[] = [];
    for (const seed of seeds) outcomes.push(outcomeOfSeed(await simulate(seed, chosen(weather))));
    parentPort!.postMessage(outcomes);
  });
}

function chosen(weather: readonly Kind[] | undefined): { weather?: readonly Kind[] } {
  return weather === undefined ? {} : { weather };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '500' },
      first: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      workers: { type: 'string', default: String(availableParallelism()) },
      json: { type: 'boolean', default: false },
      weather: { type: 'string' },
      kinds: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.kinds) {
    const line = (kind: Kind): string =>
      `${kind}${OFF.includes(kind) ? ' (off)' : ''}: ${KINDS[kind].does}\n`;
    process.stdout.write(KIND_NAMES.map(line).join(''));
    return 0;
  }
  const weather = values.weather === undefined ? undefined : parseKinds(values.weather);
  const { trace, json } = values;
  if (values.seed !== undefined)
    return showOne(wholeNumber('seed', values.seed, 0), { trace, json, ...chosen(weather) });
  if (values.trace) throw new Error('--trace needs --seed');
  const count = wholeNumber('seeds', values.seeds, 1);
  const first = wholeNumber('first', values.first, 0);
  const startedAt = performance.now();
  const workers = wholeNumber('workers', values.workers, 1);
  const summary = await runAll({ first, count, workers }, weather);
  const seconds = (performance.now() - startedAt) / 1000;
  // A choice of weather is to look at, not to prove anything.
  const gaps = weather === undefined ? summary.gaps() : [];
  summary.violations.sort((one, other) => one.seed - other.seed);
  if (values.json) {
    const { seeds, rich, picks, violations } = summary;
    const coverage = Object.fromEntries(
      [...summary.coverage.counts].sort(([one], [other]) => (one < other ? -1 : 1)),
    );
    const virtualDays = Math.round(summary.virtualHours / 24);
    process.stdout.write(
      `${JSON.stringify({ first, seeds, seconds, rich, picks, virtualDays, violations, gaps, coverage })}\n`,
    );
  } else {
    for (const { seed, violations } of summary.violations.slice(0, SHOWN)) {
      process.stdout.write(`seed ${seed}: ${violations[0]}\n`);
    }
    for (const gap of gaps) process.stdout.write(`not tried enough: ${gap}\n`);
    process.stdout.write(
      `${summary.seeds} seeds, ${summary.picks} steps, ${Math.round(summary.virtualHours / 24)} virtual days in ${seconds.toFixed(0)} s: ` +
        `${summary.violations.length} violations, ${gaps.length} gaps in coverage; ` +
        `${summary.rich} seeds with three batches, two jobs and two rounds or more\n`,
    );
    const [broken] = summary.violations;
    if (broken !== undefined) {
      process.stdout.write(
        `to see it: npm run -s simulate -- --seed ${broken.seed} --trace${values.weather === undefined ? '' : ` --weather ${values.weather}`}\n`,
      );
    }
  }
  return summary.violations.length > 0 || gaps.length > 0 ? 1 : 0;
}

/** One seed, with its trace if that is wanted. */
async function showOne(
  seed: number,
  { json, ...options }: { trace: boolean; json: boolean; weather?: readonly Kind[] },
): Promise<number> {
  const result = await simulate(seed, options);
  const { violations, stats } = result;
  if (json) process.stdout.write(`${JSON.stringify({ seed, violations, stats, trace: result.trace })}\n`);
  else {
    for (const line of result.trace) process.stdout.write(`${line}\n`);
    for (const violation of violations) process.stdout.write(`seed ${seed}: ${violation}\n`);
    process.stdout.write(`seed ${seed}: ${violations.length} violations; ${JSON.stringify(stats)}\n`);
  }
  return violations.length > 0 ? 1 : 0;
}

/** Deals the seeds out to threads as these get done. */
async function runAll(
  { first, count, workers }: { first: number; count: number; workers: number },
  weather: readonly Kind[] | undefined,
): Promise<Summary> {
  const summary = new Summary();
  let next = first;
  const deal = (): number[] => {
    const from = next;
    next = Math.min(next + SEEDS_AT_A_TIME, first + count);
    return Array.from({ length: next - from }, (_, index) => from + index);
  };
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { weather } });
    try {
      for (let seeds = deal(); seeds.length > 0; seeds = deal()) {
        const outcomes = await new Promise<SeedOutcome[]>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
          worker.postMessage(seeds);
        });
        worker.removeAllListeners('error');
        for (const outcome of outcomes) {
          summary.add(outcome);
          for (const violation of outcome.violations.slice(0, 1))
            process.stderr.write(`seed ${outcome.seed}: ${violation}\n`);
        }
        if (summary.seeds % 500 < SEEDS_AT_A_TIME) {
          process.stderr.write(
            `${summary.seeds} of ${count} seeds, ${summary.violations.length} violations\n`,
          );
        }
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, Math.ceil(count / SEEDS_AT_A_TIME)) }, work));
  return summary;
}
