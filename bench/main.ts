/**
 * `npm run bench`: measures ingest against floors and peers, on inputs that anyone can generate. Progress goes to
 * stderr, the report to stdout: as tables, or with `--json` as one JSON object on the last line.
 */
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { allCommands, type Command, installPeers } from './commands.ts';
import { runContinuation } from './continuation.ts';
import { CORES } from './cores.ts';
import { type InputFile, inputFile } from './inputs/input-file.ts';
import { type Measurement, measure, RunFailedError } from './measure.ts';
import { INPUT_NAMES, type Part, planRun } from './plan.ts';
import {
  describeCommand,
  type Measured,
  type Report,
  renderTables,
  reportSchema,
  summarize,
} from './report.ts';
import { renderResults, runResults } from './results.ts';
import { renderScale, runScale, SCENARIOS } from './scale.ts';
import { judge } from './targets.ts';
import { renderWebhooks, runWebhooks } from './webhooks.ts';

const USAGE = `npm run bench -- [options]

  --quick          100 MB inputs, fewer commands; ends within 3 minutes
  --full           adds a 5 GB input
  --json           prints one JSON object as the last line of stdout
  --size MB        size of the compared inputs (200); the others scale with it
  --rounds N       how often each command runs over each input (5; quick: 3)
  --input a,b      only these inputs: ${INPUT_NAMES.join(', ')}
  --only a,b       only these commands; "ours" always runs, as the others are compared with it
  --list           prints the commands that --only takes

npm run bench -- continuation [--size MB] [--timeout SECONDS] [--calm]

  One large file through the local stack, with so little time for each invocation (default: 4 seconds) that ingest has to
  go on many times, killed at each checkpoint (not with --calm), and held against one uninterrupted pass.

npm run bench -- results [--size MB] [--json]

  A result file of so many MB (2,000) through collect, and two and a half times as much through a merge: speed and memory.

npm run bench -- scale [--only ${SCENARIOS.map(({ name }) => name).join(',')}] [--divide N] [--json]

  What many batches cost, counted by the core and the adapters of the table with a virtual clock: calls of OpenAI for each
  poll, units of DynamoDB, requests to S3, messages, time in Lambda, dollars. Minutes; --divide 10 makes everything smaller.

npm run bench -- webhooks [--rounds N] [--json]

  How long it takes from the end of a batch at OpenAI to its receipt, on the local stack with webhooks and without polls:
  N files (5) with every function warm, and N with every function started. Part of a run without --quick, --input, --only.
`;

/** What a quick run may take: below 3 minutes, with room for generating inputs and a last slow round. */
const QUICK_BUDGET_MS = 140_000;

/** Files of each kind that webhooks are measured with. */
const WEBHOOK_ROUNDS = 5;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    timeout: { type: 'string', default: '4' },
    calm: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    size: { type: 'string' },
    rounds: { type: 'string' },
    input: { type: 'string' },
    only: { type: 'string' },
    divide: { type: 'string' },
  },
});

const say = (message: string): void => {
  process.stderr.write(`${message}\n`);
};

if (flags.help) {
  process.stdout.write(USAGE);
} else if (positionals[0] === 'continuation') {
  const report = await runContinuation({
    bytes: Number(flags.size ?? '5000') * 1e6,
    timeoutMs: Number(flags.timeout) * 1000,
    kills: !flags.calm,
    say,
  });
  const { notProven } = report;
  say(`The same as one pass. ${notProven.length === 0 ? 'Proven.' : `Not proven: ${notProven.join('; ')}.`}`);
  process.stdout.write(`${JSON.stringify(report)}\n`);
} else if (positionals[0] === 'results') {
  const collectBytes = Number(flags.size ?? '2000') * 1e6;
  const rows = await runResults({ collectBytes, mergeBytes: 2.5 * collectBytes, say });
  process.stdout.write(flags.json ? `${JSON.stringify({ results: rows })}\n` : `${renderResults(rows)}\n`);
} else if (positionals[0] === 'scale') {
  const names = SCENARIOS.map(({ name }) => name);
  const reports = await runScale({
    ...namesOf('only', 'only', names),
    ...numberOf('divide', 'divideBy'),
    say,
  });
  process.stdout.write(flags.json ? `${JSON.stringify({ scale: reports })}\n` : `${renderScale(reports)}\n`);
} else if (positionals[0] === 'webhooks') {
  const webhooks = await runWebhooks({ rounds: WEBHOOK_ROUNDS, ...numberOf('rounds', 'rounds'), say });
  process.stdout.write(flags.json ? `${JSON.stringify({ webhooks })}\n` : `${renderWebhooks(webhooks)}\n`);
} else {
  installPeers(say);
  const commands = await allCommands();
  if (flags.list) {
    for (const { id, title } of [...commands, ...CORES]) process.stdout.write(`${id.padEnd(20)}${title}\n`);
  } else {
    const report = await runBenchmark(commands);
    process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : `${renderTables(report)}\n`);
  }
}

async function runBenchmark(commands: readonly Command[]): Promise<Report> {
  const date = new Date().toISOString();
  const started = performance.now();
  const loadBefore = loadavg()[0]!;
  const known = [...commands, ...CORES].map(({ id }) => id);
  const parts = planRun({
    isQuick: flags.quick,
    isFull: flags.full,
    ...numberOf('size', 'sizeMb'),
    ...numberOf('rounds', 'rounds'),
    ...namesOf('input', 'inputs', INPUT_NAMES),
    ...namesOf('only', 'only', known),
  });
  const measured: Measured = {};
  const inputs: InputFile[] = [];
  const folder = mkdtempSync(join(fastestFolder(), 'batchdrop-bench-'));
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', clear);
  process.once('SIGINT', () => process.exit(130));
  for (const [index, part] of parts.entries()) {
    const input = inputFile(part.spec, { onGenerate: (path) => say(`generating ${path}`) });
    inputs.push(input);
    // A quick run gives each input its share of the time, of which unused parts fall to those that follow.
    const mustEndBy = flags.quick
      ? started + (QUICK_BUDGET_MS * (index + 1)) / parts.length
      : Number.POSITIVE_INFINITY;
    measured[input.name] = {
      ...(part.coreMb > 0 ? await measureCores(part, input) : {}),
      ...(await measureCommands(commands, part, input, folder, mustEndBy)),
    };
  }
  const isWhole = !flags.quick && flags.input === undefined && flags.only === undefined;
  const webhooks = isWhole ? await runWebhooks({ rounds: WEBHOOK_ROUNDS, say }) : null;
  const { medians, ratios } = summarize(measured, inputs);
  const described = inputs.map(({ name, bytes, lines, about }) => ({ name, bytes, lines, about }));
  return reportSchema.parse({
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 1e9),
      os: `${type()} ${release()}`,
      arch: process.arch,
      node: process.versions.node,
      load: [loadBefore, loadavg()[0]!],
    },
    date,
    inputs: described,
    commands: [...commands.map(describeCommand), ...CORES],
    medians,
    ratios,
    webhooks,
    targets: judge({ inputs: described, medians, ratios, webhooks }),
  } satisfies Report);
}

/** Rounds of every command over one input, taking turns. */
async function measureCommands(
  commands: readonly Command[],
  part: Part,
  input: InputFile,
  folder: string,
  mustEndBy: number,
): Promise<Measured[string]> {
  let taking = commands.filter((command) => command.version !== undefined && part.measures(command));
  const rounds: Measured[string] = Object.fromEntries(taking.map(({ id }) => [id, []]));
  // What is in the page cache is the same for all only after somebody has read it.
  await measure(
    taking.find(({ id }) => id === 'read-only')?.run(input.path, folder) ?? readOnly(commands, input),
  );
  for (let round = 1; round <= part.rounds; round++) {
    const began = performance.now();
    for (const command of taking) {
      try {
        const measurement = await runOnce(command, input, folder);
        rounds[command.id]!.push(measurement);
        say(`${input.name} ${round}/${part.rounds} ${command.id}: ${Math.round(measurement.wallMs)} ms`);
      } catch (error) {
        if (!(error instanceof RunFailedError) || command.kind === 'ours') throw error;
        say(`${input.name}: ${command.id} failed and is left out: ${error.message}`);
        taking = taking.filter((other) => other !== command);
        delete rounds[command.id];
      }
    }
    const ended = performance.now();
    if (ended + (ended - began) > mustEndBy) break;
  }
  return rounds;
}

function readOnly(commands: readonly Command[], input: InputFile): ReturnType<Command['run']> {
  return commands.find(({ id }) => id === 'read-only')!.run(input.path, '');
}

/**
 * @throws {RunFailedError} also if the command did not see the whole input: then its time means nothing.
 */
async function runOnce(command: Command, input: InputFile, folder: string): Promise<Measurement> {
  const output = join(folder, command.id);
  mkdirSync(output);
  try {
    const measurement = await measure(command.run(input.path, output));
    if (command.counts !== 'nothing') {
      const counted = measurement.printed?.[command.counts];
      const expected = input[command.counts];
      if (counted !== expected) {
        throw new RunFailedError(`${command.id} counted ${counted} ${command.counts} of ${expected}`);
      }
    }
    return measurement;
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

async function measureCores(part: Part, input: InputFile): Promise<Measured[string]> {
  const script = join(import.meta.dirname, 'ours/check-cores.ts');
  const args = [script, input.path, `${part.coreMb}`, `${part.coreRounds}`];
  const { printed } = await measure({ program: 'node', args });
  const { bytes, rounds } = printed as {
    bytes: number;
    rounds: Record<string, { wallMs: number; cpuMs: number }[]>;
  };
  say(`${input.name} cores in process: ${Math.round(bytes / 1e6)} MB, ${part.coreRounds} rounds`);
  // Scaled to the whole input, so that one figure of bytes belongs to everything about an input.
  const scale = input.bytes / bytes;
  return Object.fromEntries(
    Object.entries(rounds).map(([id, some]) => [
      id,
      some.map(({ wallMs, cpuMs }) => ({ wallMs: wallMs * scale, cpuMs: cpuMs * scale })),
    ]),
  );
}

/** Memory rather than disk, where there is a file system for that: writing must not wait for a disk. */
function fastestFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

function numberOf<Key extends string>(
  flag: 'size' | 'rounds' | 'divide',
  key: Key,
): { [key in Key]?: number } {
  const text = flags[flag];
  if (text === undefined) return {};
  const value = Number(text);
  if (!(value > 0)) fail(`--${flag} takes a number above 0, not "${text}"`);
  return { [key]: value } as { [key in Key]: number };
}

function namesOf<Key extends string>(
  flag: 'input' | 'only',
  key: Key,
  known: readonly string[],
): { [key in Key]?: string[] } {
  const names = flags[flag]?.split(',');
  if (names === undefined) return {};
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) fail(`--${flag} does not know ${unknown.join(', ')}; it takes ${known.join(', ')}`);
  return { [key]: names } as { [key in Key]: string[] };
}

function fail(message: string): never {
  say(message);
  process.exit(2);
}
