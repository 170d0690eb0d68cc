/** `batchdrop doctor`: what is wrong with a stack, and what to do. Reads only. */
import { readDoctorFacts } from '../options/doctor-facts.ts';
import type { StackOptions } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { withStores } from '../options/stores.ts';
import { doctorText, isSick, judge } from '../view/doctor-checks.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED } from '../view/exit.ts';
import { withStack } from '../view/explain.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop doctor`. */
export interface DoctorOptions extends StackOptions {
  json?: boolean;
}

/** @returns the exit status: 1 where something is wrong. */
export async function doctor(options: DoctorOptions): Promise<number> {
  return withStores(options, async (stores) => {
    const flags = stackFlags(options);
    const checked = judge(await readDoctorFacts(stores), Date.now()).map((each) => ({
      ...each,
      findings: each.findings.map((finding) => ({
        ...finding,
        command: finding.command === undefined ? undefined : withStack(finding.command, flags),
      })),
    }));
    const { name, kind } = stores.stack;
    if (options.json) console.log(JSON.stringify({ stack: name, kind, checks: checked }));
    else console.log(`Stack ${name} (${kind})\n\n${doctorText(checked, terminalWidth(process.stdout))}`);
    return isSick(checked) ? EXIT_CANNOT_RUN : EXIT_SUCCEEDED;
  });
}
