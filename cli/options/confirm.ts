/** Asks a person before something that cannot be undone. */
import { createInterface } from 'node:readline/promises';
import { UsageError } from '../view/exit.ts';
import { withoutControls } from '../view/plain.ts';

/**
 * @param yes the person has answered already, by `--yes`.
 * @param answer the option that answers it where nobody is there. Default: `--yes`.
 * @returns whether it is to be done.
 * @throws {UsageError} if nobody is there to answer.
 */
export async function confirm(
  question: string,
  { yes, answer = '--yes' }: { yes?: boolean | undefined; answer?: string },
): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY)
    throw new UsageError(`${question} Give ${answer}, since nobody is there to answer.`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${withoutControls(question)} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}
