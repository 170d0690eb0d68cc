/** Runs one command as a process of its own and says what it took. */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What one run of a command took. */
export interface Measurement {
  wallMs: number;
  /** User and system time of the process and its threads; absent where this system does not tell. */
  cpuMs?: number;
  /** The most memory that it held at a time; absent where this system does not tell. */
  peakRssMb?: number;
  /** What it printed as its last line, if that was JSON. */
  printed?: Record<string, unknown>;
}

export interface Run {
  /** `node` stands for the Node that runs this. */
  program: string;
  args: readonly string[];
  /** Throws away what it prints. */
  isSilent?: boolean;
}

/** A run that did not end well. */
export class RunFailedError extends Error {
  override name = 'RunFailedError';
}

const PROBE = join(import.meta.dirname, 'usage-probe.cjs');
const GNU_TIME = '/usr/bin/time';
const TIMEOUT_MS = 15 * 60_000;

/** GNU time measures programs that are not Node; BSD's has another format. */
let hasGnuTime: boolean | undefined;

/**
 * Node processes report on themselves, in microseconds; other programs run under GNU time where it is installed, in
 * steps of 10 ms.
 * @throws {RunFailedError} if the process does not exit with 0.
 */
export async function measure(run: Run): Promise<Measurement> {
  hasGnuTime ??= spawnSync(GNU_TIME, ['--version'], { encoding: 'utf8' }).stdout?.includes('GNU') ?? false;
  const folder = mkdtempSync(join(tmpdir(), 'batchdrop-bench-run-'));
  const usageFile = join(folder, 'usage');
  const printedFile = join(folder, 'printed');
  const isNode = run.program === 'node';
  const [program, args] = isNode
    ? [process.execPath, ['--require', PROBE, ...run.args]]
    : hasGnuTime
      ? [GNU_TIME, ['--format', '%U %S %M', '--output', usageFile, run.program, ...run.args]]
      : [run.program, run.args];
  const printed = run.isSilent ? undefined : openSync(printedFile, 'w');
  try {
    const wallMs = await runToEnd(program, args, printed, usageFile);
    return {
      wallMs,
      ...(isNode ? nodeUsage(usageFile) : hasGnuTime ? timeUsage(usageFile) : {}),
      ...(run.isSilent ? {} : printedJson(printedFile)),
    };
  } finally {
    if (printed !== undefined) closeSync(printed);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runToEnd(
  program: string,
  args: readonly string[],
  printed: number | undefined,
  usageFile: string,
): Promise<number> {
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  const started = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', printed ?? 'ignore', 'pipe'],
    env: { ...inherited, BENCH_USAGE_FILE: usageFile },
    timeout: TIMEOUT_MS,
  });
  let complaints = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-2_000);
  });
  const [how, wallMs] = await new Promise<[string, number]>((resolve) => {
    let endedMs = 0;
    child.on('error', (error) => resolve([error.message, 0]));
    child.on('exit', () => {
      endedMs = performance.now() - started;
    });
    child.on('close', (code, signal) => resolve([code === 0 ? '' : `${signal ?? `exit ${code}`}`, endedMs]));
  });
  if (how !== '') throw new RunFailedError(`${program} ${args.join(' ')}: ${how}\n${complaints}`);
  return wallMs;
}

function nodeUsage(file: string): Pick<Measurement, 'cpuMs' | 'peakRssMb'> {
  const { cpuMs, peakRssKb } = JSON.parse(readFileSync(file, 'utf8'));
  return { cpuMs, peakRssMb: (peakRssKb * 1024) / 1e6 };
}

function timeUsage(file: string): Pick<Measurement, 'cpuMs' | 'peakRssMb'> {
  const [user, system, peakRssKb] = readFileSync(file, 'utf8').trim().split(' ').map(Number);
  return { cpuMs: (user! + system!) * 1000, peakRssMb: (peakRssKb! * 1024) / 1e6 };
}

function printedJson(file: string): Pick<Measurement, 'printed'> {
  const last = readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  try {
    return { printed: JSON.parse(last) };
  } catch {
    return {};
  }
}
