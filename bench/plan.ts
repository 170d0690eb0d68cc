/** What a run measures: which inputs, at what size, with which commands and how often. */
import type { Command } from './commands.ts';
import type { InputSpec } from './inputs/input-file.ts';

export interface RunOptions {
  /** Ends within 3 minutes on two busy cores. */
  isQuick: boolean;
  /** Adds 5 GB. */
  isFull: boolean;
  /** Megabytes of each of the four compared inputs; the others grow and shrink with it. */
  sizeMb?: number;
  rounds?: number;
  /** Ids of commands; `ours` is measured always, as the others are compared with it. */
  only?: readonly string[];
  /** Names of inputs. */
  inputs?: readonly string[];
}

/** One input and what is done with it. */
export interface Part {
  spec: InputSpec;
  /** Measured unless the run names its inputs. */
  isDefault: boolean;
  rounds: number;
  measures(command: Pick<Command, 'id' | 'isExtra'>): boolean;
  /** Megabytes for the cores in process; 0: they are not run on this input. */
  coreMb: number;
  /** More than for processes: they are short, so a moment of somebody else's work weighs more. */
  coreRounds: number;
}

/** Size of each compared input in the run of docs/performance.md, and in a quick one. */
const SIZE_MB = 200;
const QUICK_SIZE_MB = 100;

/** At a gigabyte and more only the commands that something is claimed against. */
const AT_1_GB = ['ours', 'read-only', 'read-write', 'python', 'readline', 'duckdb'];
const AT_5_GB = ['ours', 'read-only'];
/** Against images, and where models take turns. */
const AT_IMAGES = ['ours', 'read-only', 'python-check', 'readline'];
const AT_TURNS = ['ours', 'read-write', 'python'];

/** The parts of a run, in order. */
export function planRun(options: RunOptions): Part[] {
  const { isQuick, isFull, only } = options;
  const sizeMb = options.sizeMb ?? (isQuick ? QUICK_SIZE_MB : SIZE_MB);
  const scale = (options.sizeMb ?? SIZE_MB) / SIZE_MB;
  const rounds = options.rounds ?? (isQuick ? 3 : 5);
  const isWanted = (id: string): boolean => id === 'ours' || only === undefined || only.includes(id);
  const hasCores = only === undefined || only.some((id) => id.startsWith('core-'));
  const compared = (content: 'a4k' | 'b400' | 'multi' | 'tools'): Part => ({
    spec: { name: content, content, size: { bytes: sizeMb * 1e6 } },
    isDefault: true,
    rounds,
    measures: ({ id, isExtra }) => isWanted(id) && !(isQuick && isExtra === true && only === undefined),
    coreMb: hasCores ? Math.min(sizeMb, isQuick ? 32 : 64) : 0,
    coreRounds: 3 * rounds,
  });
  const grown = (spec: InputSpec, isDefault: boolean, commands: readonly string[]): Part => ({
    spec,
    isDefault,
    rounds: Math.min(rounds, 3),
    measures: ({ id }) => commands.includes(id) && isWanted(id),
    coreMb: 0,
    coreRounds: 0,
  });
  const bytes = (count: number): InputSpec['size'] => ({ bytes: count * scale });
  const lines = (count: number): InputSpec['size'] => ({ lines: Math.ceil(count * scale) });
  const parts = [
    compared('a4k'),
    compared('b400'),
    compared('multi'),
    compared('tools'),
    grown({ name: 'vision', content: 'vision', size: bytes(200e6) }, !isQuick, AT_IMAGES),
    grown({ name: 'turns4', content: 'turns4', size: bytes(200e6) }, !isQuick, AT_TURNS),
    grown({ name: 'models200', content: 'models200', size: bytes(200e6) }, !isQuick, AT_TURNS),
    grown({ name: 'a1g', content: 'a4k', size: bytes(1e9) }, !isQuick, AT_1_GB),
    grown({ name: 'ids1m', content: 'ids', size: lines(1e6) }, true, ['ours']),
    grown({ name: 'ids4m', content: 'ids', size: lines(4e6) }, !isQuick, ['ours']),
    grown({ name: 'a5g', content: 'a4k', size: bytes(5e9) }, isFull, AT_5_GB),
  ];
  const { inputs } = options;
  return parts.filter(({ spec, isDefault }) => inputs?.includes(spec.name) ?? isDefault);
}

/** Every name that `--input` takes. */
export const INPUT_NAMES = [
  ...['a4k', 'b400', 'multi', 'tools'],
  ...['vision', 'turns4', 'models200', 'a1g', 'ids1m', 'ids4m', 'a5g'],
];
