/** What the run and the process that holds the stack tell each other. */
import type { LocalStack } from '../../../local/stack/local-stack.ts';

/** What a stack host is started with, as JSON in its first argument. */
export interface HostSettings {
  /** State of the stack. */
  dir: string;
  /** Folder that `cdk synth` wrote. */
  cdkOut: string;
  openaiBaseUrl: string;
  /** How far the stack's clock is ahead of the machine's. */
  aheadMs: number;
  /** Deaths are drawn from it: another one for each host of a run. */
  seed: number;
  /** How many deaths each function may still die, by role. */
  deaths: Record<string, number>;
  /** A death of a function comes after 1 to so many of its calls. */
  mostCallsBetween: number;
  /** File that each death is appended to, as a line of JSON, before it happens. */
  deathsFile: string;
}

/** One death. */
export interface Death {
  /** The process of the function that made the call, or the whole stack. */
  victim: 'function' | 'stack';
  /** Whose call it was, by role. */
  functionName: string;
  moment: 'before' | 'after';
  operation: string;
  resource: string;
}

/** From the run: let the clock be so far ahead, poll once, and say when nothing runs any more. */
export interface Tick {
  aheadMs: number;
}

/** From the host. */
export type HostMessage =
  | ({ kind: 'ready' } & Pick<LocalStack, 'endpoints' | 'region' | 'credentials' | 'resources'>)
  | { kind: 'idle' };
