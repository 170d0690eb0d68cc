import { describe, expect, it } from 'vitest';
import type { Command } from '../../../bench/commands.ts';
import { CORES } from '../../../bench/cores.ts';
import { INPUT_NAMES, planRun } from '../../../bench/plan.ts';
import {
  describeCommand,
  type Measured,
  type Report,
  renderTables,
  reportSchema,
  summarize,
} from '../../../bench/report.ts';
import { judge } from '../../../bench/targets.ts';

const INPUTS: Report['inputs'] = [
  { name: 'a4k', bytes: 200_000_000, lines: 48_000, about: 'prose' },
  { name: 'ids1m', bytes: 150_000_000, lines: 1_000_000, about: 'ids' },
  { name: 'ids4m', bytes: 600_000_000, lines: 4_000_000, about: 'ids' },
];

/** Two rounds; in the second one everything took twice as long. */
const rounds = (wallMs: number, peakRssMb = 100): Measured[string][string] => [
  { wallMs, cpuMs: wallMs, peakRssMb },
  { wallMs: 2 * wallMs, cpuMs: 2 * wallMs, peakRssMb: peakRssMb + 1 },
];

const MEASURED: Measured = {
  a4k: {
    ours: rounds(200),
    'read-only': rounds(100),
    python: rounds(480),
    readline: rounds(800),
    jq: [{ wallMs: 1_000 }, { wallMs: 2_000 }],
    'core-ours': [{ wallMs: 100 }],
    'core-json-parse': [{ wallMs: 300 }],
  },
  ids1m: { ours: rounds(200, 100) },
  ids4m: { ours: rounds(800, 160) },
};

const command = (id: string, version: string | undefined): Command => ({
  id,
  kind: 'peer',
  title: `title of ${id}`,
  does: 'check',
  version,
  counts: 'lines',
  run: () => ({ program: 'node', args: [] }),
});

function reportOf(measured: Measured, webhooks: Report['webhooks'] = null): Report {
  const { medians, ratios } = summarize(measured, INPUTS);
  return {
    machine: { cpu: 'some', cores: 2, memoryGb: 24, os: 'some', arch: 'x64', node: '24.0.0', load: [0, 1.5] },
    date: '2026-01-01T00:00:00.000Z',
    inputs: INPUTS,
    commands: [
      ...['ours', 'read-only', 'python', 'readline', 'jq'].map((id) => describeCommand(command(id, '1.0'))),
      describeCommand(command('duckdb', undefined)),
      ...CORES,
    ],
    medians,
    ratios,
    webhooks,
    targets: judge({ inputs: INPUTS, medians, ratios, webhooks }),
  };
}

function target(report: Report, claim: string): Report['targets'][number] {
  const found = report.targets.filter((one) => one.claim.includes(claim));
  expect(found, claim).toHaveLength(1);
  return found[0]!;
}

describe('report', () => {
  it('has the documented shape, before and after JSON', () => {
    const report = reportOf(MEASURED);
    expect(reportSchema.parse(report)).toEqual(report);
    expect(reportSchema.parse(JSON.parse(JSON.stringify(report)))).toEqual(report);
    expect(Object.keys(report).toSorted()).toEqual(
      ['commands', 'date', 'inputs', 'machine', 'medians', 'ratios', 'targets', 'webhooks'].toSorted(),
    );
  });

  it('gives medians of times, the greatest memory, and ratios within the round', () => {
    const { medians, ratios } = reportOf(MEASURED);
    expect(medians.a4k!.ours).toEqual({
      wallMs: 300,
      megabytesPerSecond: 667,
      cpuMs: 300,
      peakRssMb: 101,
      rounds: 2,
    });
    expect(ratios.a4k!.python!.wall).toEqual({ median: 2.4, low: 2.4, high: 2.4 });
    expect(ratios.a4k!.python!.cpu?.median).toBe(2.4);
  });

  it('says null where this machine could not measure CPU time or memory', () => {
    const { medians, ratios } = reportOf(MEASURED);
    expect(medians.a4k!.jq).toMatchObject({ cpuMs: null, peakRssMb: null });
    expect(ratios.a4k!.jq).toEqual({ wall: { median: 5, low: 5, high: 5 }, cpu: null });
  });

  it('compares the check in process with itself and not with a process', () => {
    expect(reportOf(MEASURED).ratios.a4k!['core-json-parse']!.wall.median).toBe(3);
  });

  it('leaves out commands that failed, and ratios where ours did not run', () => {
    const report = reportOf({ a4k: { python: rounds(10), jq: [] } });
    expect(Object.keys(report.medians.a4k!)).toEqual(['python']);
    expect(report.ratios.a4k).toEqual({});
    expect(reportSchema.parse(report)).toEqual(report);
  });

  it('shows missing peers and targets as tables', () => {
    const text = renderTables(reportOf(MEASURED));
    expect(text).toContain('| title of duckdb ');
    expect(text).toMatch(/title of duckdb .*not installed/);
    expect(text).toMatch(/python3 json.loads \+ split, a4k +\| >= 2.4x +\| 2.4 +\| yes/);
    expect(text).toMatch(/readline \+ JSON.parse, a4k +\| >= 4.5x +\| 4 +\| \*\*no\*\*/);
    expect(text).toMatch(/DuckDB, 1 thread, a4k +\| >= 1.9x +\| - +\| not measured/);
  });
});

describe('targets', () => {
  it('are met, missed or not measured', () => {
    const report = reportOf(MEASURED);
    expect(target(report, 'JSON.parse per line, a4k')).toMatchObject({ measured: 3, met: true });
    expect(target(report, 'readline + JSON.parse, a4k')).toMatchObject({ measured: 4, met: false });
    expect(target(report, 'readline + JSON.parse, tools')).toMatchObject({ measured: null, met: null });
    expect(target(report, 'read-only pass, a4k')).toMatchObject({ measured: 2, met: true });
    expect(target(report, 'peak RSS of ingest, a4k')).toMatchObject({ measured: 101, met: true });
    // 60 MB more for 3 million ids.
    expect(target(report, 'beyond 1 million')).toMatchObject({ measured: 20, met: true });
    expect(target(report, 'every function warm')).toMatchObject({ measured: null, met: null });
  });

  it('are met by receipts that come within 5 seconds of the end at OpenAI, and by no others', () => {
    const report = reportOf(MEASURED, { warmSeconds: 5, coldSeconds: 5.1, rounds: 3 });
    expect(target(report, 'every function warm')).toMatchObject({ measured: 5, met: true });
    expect(target(report, 'every function started')).toMatchObject({ measured: 5.1, met: false });
  });
});

describe('plan of a run', () => {
  const names = (options: Partial<Parameters<typeof planRun>[0]> = {}): string[] =>
    planRun({ isQuick: false, isFull: false, ...options }).map(({ spec }) => spec.name);

  it('takes every input but the one of 5 GB, which a full run adds', () => {
    expect(names()).toEqual(INPUT_NAMES.filter((name) => name !== 'a5g'));
    expect(names({ isFull: true })).toEqual(INPUT_NAMES);
  });

  it('of a quick run leaves out what is large', () => {
    expect(names({ isQuick: true })).toEqual(['a4k', 'b400', 'multi', 'tools', 'ids1m']);
  });

  it('takes exactly the inputs that are named', () => {
    expect(names({ isQuick: true, inputs: ['a5g', 'b400'] })).toEqual(['b400', 'a5g']);
  });

  it('measures ours whatever commands are named', () => {
    const [part] = planRun({ isQuick: false, isFull: false, only: ['python'] });
    const measured = ['ours', 'python', 'jq'].filter((id) => part!.measures({ id }));
    expect(measured).toEqual(['ours', 'python']);
    expect(part!.coreMb).toBe(0);
  });

  it('leaves out extra commands in a quick run unless they are named', () => {
    const [quick] = planRun({ isQuick: true, isFull: false });
    const [named] = planRun({ isQuick: true, isFull: false, only: ['jq'] });
    expect(quick!.measures({ id: 'jq', isExtra: true })).toBe(false);
    expect(named!.measures({ id: 'jq', isExtra: true })).toBe(true);
  });

  it('scales every input with the size', () => {
    const parts = planRun({ isQuick: false, isFull: true, sizeMb: 20 });
    expect(parts.map(({ spec }) => spec.size)).toEqual([
      ...Array.from({ length: 7 }, () => ({ bytes: 20_000_000 })),
      { bytes: 100_000_000 },
      { lines: 100_000 },
      { lines: 400_000 },
      { bytes: 500_000_000 },
    ]);
  });
});
