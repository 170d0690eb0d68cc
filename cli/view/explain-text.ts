/** Why a job waits, for a person: each reason as a paragraph, with the commands that may move it. Pure. */
import { defined } from '../../src/core/base/defined.ts';
import type { Explanation, Wait } from './explain.ts';
import { format } from './progress.ts';
import { count, wrapped } from './text.ts';
import { agoText, timeText } from './time.ts';
import { amountText } from './wait-reasons.ts';

/**
 * An explanation for a person.
 * @param width columns of the terminal.
 */
export function explanationText(
  { key, jobId, hasEnded, requests, deadlineAt, phase, waits }: Explanation,
  now: number,
  width: number,
): string {
  const done =
    requests.total === 0 ? '' : `, ${format(requests.done)} of ${count(requests.total, 'request')} done`;
  const state = hasEnded ? 'has ended: nothing of it waits' : phase.replaceAll('_', ' ');
  const lines = [
    `${key}${jobId === undefined ? '' : ` (job ${jobId})`}: ${state}${done}.`,
    ...(deadlineAt === undefined || hasEnded
      ? []
      : [`Its results are due at ${timeText(deadlineAt)} (${agoText(deadlineAt, now)}).`]),
    ...(hasEnded || waits.length > 0 ? [] : ['Nothing of it waits: it is being worked on.']),
    ...waits.flatMap((wait) => waitLines(wait, now)),
  ];
  return lines.flatMap((line) => wrapped(line, width)).join('\n');
}

function waitLines(wait: Wait, now: number): string[] {
  const { batches, requests, text, moves, since } = wait;
  const what = batches === 0 ? 'Waits' : amountText(batches, requests);
  const when = since === undefined ? '' : `, since ${timeText(since)} (${agoText(since, now)})`;
  return [
    '',
    `${what}: ${text}${when}.`,
    `  ${moves}`,
    ...commandsOf(wait).map((command) => `  $ ${command}`),
  ];
}

/** The commands that may move it, the first one first. */
export function commandsOf({ command, otherCommand }: Wait): string[] {
  return [command, otherCommand].filter((each) => each !== undefined);
}

/** A reason with its commands as they are typed. @param stackFlags as in {@link withStack}. */
export function withStackFlags(wait: Wait, stackFlags: string): Wait {
  const { command, otherCommand } = wait;
  return defined({
    ...wait,
    command: command && withStack(command, stackFlags),
    otherCommand: otherCommand && withStack(otherCommand, stackFlags),
  });
}

/**
 * A command of ours with the options that name the stack; another one as it is.
 * @param stackFlags `''` or `--stack films`.
 */
export function withStack(command: string, stackFlags: string): string {
  return command.startsWith('batchdrop ') && stackFlags !== '' ? `${command} ${stackFlags}` : command;
}
