/** What the project claims of its speed and memory, and what a run has to say about it. */
import type { Report } from './report.ts';
import { rounded } from './statistics.ts';

/** What targets are judged by. */
type Judged = Pick<Report, 'inputs' | 'medians' | 'ratios' | 'webhooks'>;

interface Target {
  claim: string;
  target: { atLeast: number } | { atMost: number };
  unit: string;
  /** `undefined`: the run did not measure it. */
  measured(report: Judged): number | undefined;
}

/** The inputs that every comparison is made on, in the order of the numbers below. */
const COMPARED = ['a4k', 'b400', 'multi', 'tools'] as const;

/** Ours against another command, one target an input. */
function timesFaster(what: string, id: string, atLeast: readonly number[]): Target[] {
  return COMPARED.map((input, index) => ({
    claim: `${what}, ${input}`,
    target: { atLeast: atLeast[index]! },
    unit: 'x',
    measured: ({ ratios }) => ratios[input]?.[id]?.wall.median,
  }));
}

const TARGETS: readonly Target[] = [
  ...timesFaster('check in process against JSON.parse per line', 'core-json-parse', [3, 5, 4, 6]),
  ...timesFaster('process against python3 json.loads + split', 'python', [2.4, 4.2, 3.3, 4]),
  ...timesFaster('process against Node readline + JSON.parse', 'readline', [4.5, 4.5, 6, 6]),
  ...timesFaster('process against DuckDB, 1 thread', 'duckdb', [1.9, 1.9, 1.9, 1.9]),
  ...COMPARED.map(
    (input): Target => ({
      claim: `process over Node's read-only pass, ${input}`,
      target: { atMost: 2.3 },
      unit: 'x',
      measured: ({ ratios }) => {
        const ratio = ratios[input]?.['read-only']?.wall.median;
        return ratio === undefined ? undefined : 1 / ratio;
      },
    }),
  ),
  {
    claim: 'process against python3 json.loads that writes nothing, vision',
    target: { atLeast: 1 },
    unit: 'x',
    measured: ({ ratios }) => ratios.vision?.['python-check']?.cpu?.median,
  },
  ...[
    ['turns4', 'a4k'],
    ['models200', 'b400'],
  ].map(
    ([turns, one]): Target => ({
      claim: `CPU of ${turns} over that of ${one}, the same lines with one model`,
      target: { atMost: 2 },
      unit: 'x',
      measured: ({ medians }) => {
        const [cpu, ofOne] = [turns, one].map((name) => medians[name!]?.ours?.cpuMs);
        return cpu && ofOne ? cpu / ofOne : undefined;
      },
    }),
  ),
  ...[...COMPARED, 'vision', 'turns4', 'models200', 'a1g', 'a5g', 'ids1m'].map(
    (input): Target => ({
      claim: `peak RSS of ingest, ${input}`,
      target: { atMost: 200 },
      unit: ' MB',
      measured: ({ medians }) => medians[input]?.ours?.peakRssMb ?? undefined,
    }),
  ),
  {
    claim: 'peak RSS for each id beyond 1 million',
    target: { atMost: 28 },
    unit: ' bytes',
    measured: ({ inputs, medians }) => {
      const [few, many] = ['ids1m', 'ids4m'].map((name) => ({
        lines: inputs.find((input) => input.name === name)?.lines,
        peakRssMb: medians[name]?.ours?.peakRssMb,
      }));
      if (!few?.lines || !many?.lines || !few.peakRssMb || !many.peakRssMb) return undefined;
      return ((many.peakRssMb - few.peakRssMb) * 1e6) / (many.lines - few.lines);
    },
  },
  {
    claim: 'with webhooks, from the end of a batch at OpenAI to its receipt, every function warm',
    target: { atMost: 5 },
    unit: ' s',
    measured: ({ webhooks }) => webhooks?.warmSeconds,
  },
  {
    claim: 'with webhooks, from the end of a batch at OpenAI to its receipt, every function started',
    target: { atMost: 5 },
    unit: ' s',
    measured: ({ webhooks }) => webhooks?.coldSeconds,
  },
];

/** Every target with what was measured. */
export function judge(report: Judged): Report['targets'] {
  return TARGETS.map(({ claim, target, unit, measured }) => {
    const value = measured(report);
    const isMet = (found: number): boolean =>
      'atLeast' in target ? found >= target.atLeast : found <= target.atMost;
    return {
      claim,
      target: 'atLeast' in target ? `>= ${target.atLeast}${unit}` : `<= ${target.atMost}${unit}`,
      measured: value === undefined ? null : rounded(value),
      met: value === undefined ? null : isMet(value),
    };
  });
}
