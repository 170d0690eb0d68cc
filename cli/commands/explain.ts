/** `batchdrop explain KEY|JOB`: why a job waits, since when, what would move it, and the command for that. */
import { findJob } from '../options/find-job.ts';
import type { StackOptions } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { withStores } from '../options/stores.ts';
import { readFacts } from '../options/wait-facts.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';
import { explain } from '../view/explain.ts';
import { explanationText, withStackFlags } from '../view/explain-text.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop explain`. */
export interface ExplainOptions extends StackOptions {
  json?: boolean;
}

/**
 * @returns the exit status.
 * @throws {CannotRunError} if there is no such job.
 */
export async function explainJob(named: string, options: ExplainOptions): Promise<number> {
  return withStores(options, async (stores) => {
    const facts = await readFacts(stores, await findJob(stores, named));
    const explanation = explain(facts);
    const flags = stackFlags(options);
    const waits = explanation.waits.map((wait) => withStackFlags(wait, flags));
    const withFlags = { ...explanation, waits };
    const shown = options.json
      ? JSON.stringify(withFlags)
      : explanationText(withFlags, facts.now, terminalWidth(process.stdout));
    console.log(shown);
    return EXIT_SUCCEEDED;
  });
}
