/** What a run of the benchmark found, as data and as tables. */
import { z } from 'zod';
import type { Command } from './commands.ts';
import type { InputFile } from './inputs/input-file.ts';
import type { Measurement } from './measure.ts';
import { median, ratiosOf, rounded, type spreadOf } from './statistics.ts';

const spreadSchema = z.strictObject({ median: z.number(), low: z.number(), high: z.number() });

/** What `--json` prints. */
export const reportSchema = z.strictObject({
  machine: z.strictObject({
    cpu: z.string(),
    cores: z.int(),
    memoryGb: z.number(),
    os: z.string(),
    arch: z.string(),
    node: z.string(),
    /** Load averages over one minute at the start and at the end: what else ran beside the benchmark. */
    load: z.tuple([z.number(), z.number()]),
  }),
  /** ISO 8601, when the run began. */
  date: z.string(),
  inputs: z.array(z.strictObject({ name: z.string(), bytes: z.int(), lines: z.int(), about: z.string() })),
  commands: z.array(
    z.strictObject({
      id: z.string(),
      /** A `core` is measured in RAM, inside one process. */
      kind: z.enum(['floor', 'peer', 'ours', 'core']),
      title: z.string(),
      does: z.string(),
      /** `not installed` if this machine does not have it. */
      version: z.string(),
    }),
  ),
  /** By input, then by command. Wall and CPU time are medians, peak RSS is the greatest of all rounds. */
  medians: z.record(
    z.string(),
    z.record(
      z.string(),
      z.strictObject({
        wallMs: z.number(),
        megabytesPerSecond: z.number(),
        cpuMs: z.number().nullable(),
        peakRssMb: z.number().nullable(),
        rounds: z.int(),
      }),
    ),
  ),
  /** By input, then by command: its time over ours in the same round. Above 1 is slower than ours. */
  ratios: z.record(
    z.string(),
    z.record(z.string(), z.strictObject({ wall: spreadSchema, cpu: spreadSchema.nullable() })),
  ),
  /** Seconds from the end of a batch at OpenAI to its receipt, medians; `null`: this run did not measure it. */
  webhooks: z.strictObject({ warmSeconds: z.number(), coldSeconds: z.number(), rounds: z.int() }).nullable(),
  targets: z.array(
    z.strictObject({
      claim: z.string(),
      target: z.string(),
      /** `null`: this run did not measure it. */
      measured: z.number().nullable(),
      met: z.boolean().nullable(),
    }),
  ),
});
export type Report = z.infer<typeof reportSchema>;

/** Runs of one command over one input, in the rounds' order. */
export type Rounds = Pick<Measurement, 'wallMs' | 'cpuMs' | 'peakRssMb'>[];

/** By input, then by command. */
export type Measured = Record<string, Record<string, Rounds>>;

/** What the check alone is compared with: the same line as `ours` is for whole processes. */
const CORE_OF_OURS = 'core-ours';

/** Which command's time a command is compared with. */
function baselineOf(id: string): string {
  return id.startsWith('core-') ? CORE_OF_OURS : 'ours';
}

/** Medians and ratios of what was measured; commands without a round are left out. */
export function summarize(
  measured: Measured,
  inputs: readonly Pick<InputFile, 'name' | 'bytes'>[],
): Pick<Report, 'medians' | 'ratios'> {
  const medians: Report['medians'] = {};
  const ratios: Report['ratios'] = {};
  for (const [input, commands] of Object.entries(measured)) {
    const bytes = inputs.find(({ name }) => name === input)!.bytes;
    medians[input] = {};
    ratios[input] = {};
    for (const [id, rounds] of Object.entries(commands)) {
      if (rounds.length === 0) continue;
      const walls = rounds.map(({ wallMs }) => wallMs);
      const cpus = definite(rounds.map(({ cpuMs }) => cpuMs));
      const peaks = definite(rounds.map(({ peakRssMb }) => peakRssMb));
      const wallMs = median(walls);
      medians[input][id] = {
        wallMs: rounded(wallMs),
        megabytesPerSecond: rounded(bytes / 1000 / wallMs),
        cpuMs: cpus === undefined ? null : rounded(median(cpus)),
        peakRssMb: peaks === undefined ? null : rounded(Math.max(...peaks)),
        rounds: rounds.length,
      };
      const ours = commands[baselineOf(id)];
      if (ours === undefined || ours.length !== rounds.length) continue;
      const ourCpus = definite(ours.map(({ cpuMs }) => cpuMs));
      ratios[input][id] = {
        wall: roundedSpread(
          ratiosOf(
            walls,
            ours.map((round) => round.wallMs),
          ),
        ),
        cpu: cpus && ourCpus ? roundedSpread(ratiosOf(cpus, ourCpus)) : null,
      };
    }
  }
  return { medians, ratios };
}

/** The values, if every round has one. */
function definite(values: readonly (number | undefined)[]): number[] | undefined {
  return values.every((value) => value !== undefined) ? (values as number[]) : undefined;
}

function roundedSpread({ median, low, high }: ReturnType<typeof spreadOf>): ReturnType<typeof spreadOf> {
  return { median: rounded(median), low: rounded(low), high: rounded(high) };
}

/** How a command stands in a report. */
export function describeCommand(command: Command): Report['commands'][number] {
  const { id, kind, title, does, version = 'not installed' } = command;
  return { id, kind, title, does, version };
}

/** The report as tables in Markdown, which a terminal shows well enough. */
export function renderTables(report: Report): string {
  const { machine } = report;
  const sections = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.os} ${machine.arch}, Node ${machine.node}; ` +
      `${report.date}; load ${machine.load.join(' -> ')}`,
  ];
  for (const input of report.inputs) {
    const rows: string[][] = [];
    for (const command of report.commands) {
      const figures = report.medians[input.name]?.[command.id];
      if (figures === undefined) {
        const isMissing = command.version === 'not installed';
        if (isMissing) rows.push([command.title, command.does, 'not installed', '', '', '', '']);
        continue;
      }
      const ratio = report.ratios[input.name]?.[command.id];
      rows.push([
        command.title,
        command.does,
        `${figures.wallMs}`,
        `${figures.megabytesPerSecond}`,
        `${figures.cpuMs ?? '-'}`,
        `${figures.peakRssMb ?? '-'}`,
        ratio === undefined ? '-' : `${ratio.wall.median} [${ratio.wall.low}-${ratio.wall.high}]`,
        ratio?.cpu ? `${ratio.cpu.median}` : '-',
      ]);
    }
    if (rows.length === 0) continue;
    const head = ['command', 'does', 'wall ms', 'MB/s', 'CPU ms', 'peak RSS MB', 'wall / ours', 'CPU / ours'];
    sections.push(
      `### ${input.name}: ${rounded(input.bytes / 1e6)} MB, ${input.lines} lines, ${input.about}`,
      table(head, rows),
    );
  }
  const verdict = { true: 'yes', false: '**no**', null: 'not measured' };
  sections.push(
    '### Targets',
    table(
      ['claim', 'target', 'measured', 'met'],
      report.targets.map(({ claim, target, measured, met }) => [
        claim,
        target,
        `${measured ?? '-'}`,
        verdict[`${met}`],
      ]),
    ),
  );
  return sections.join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  const render = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [
    render(head),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...rows.map(render),
  ].join('\n');
}
