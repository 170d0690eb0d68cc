/** The files of a job, line by line, against what its requests must have become. */
import type { InputLine } from '../drops.ts';
import type { ExpectedJob, Report } from './expectations.ts';
import type { JobFindings } from './findings.ts';
import { type AnswerBody, checkCost } from './money.ts';
import { isInvalid, type Outcome, outcomeOf } from './outcomes.ts';
import { checkBilledTwice, checkReceipt, codeOf } from './receipt.ts';

export function checkJob(findings: JobFindings): void {
  const { mayHaveFailed, isDroppedAgain, expected, receipt, published, executions, job, say } = findings;
  const { lines } = expected.drop;
  const { counts } = receipt;
  const mayLack = mayLackInput(expected);
  const text = (name: string): string => Buffer.from(published.files.get(name) ?? '').toString('utf8');
  if (counts.succeeded + counts.failed + counts.invalid !== counts.requests) say('its counts do not add up');
  const isGone = receipt.rejection?.code === 'object_gone';
  if (isGone && !expected.calledOff) say('rejected as gone, and it was not');
  const isGivenUp = receipt.rejection?.code === 'ingest_failed';
  if (isGivenUp && !mayHaveFailed) say('given up, although ingest has not failed that often');
  const isUnreadable = receipt.rejection?.code === 'input_unreadable';
  // Without versions, what replaced it may be what cannot be read.
  const isReplaced = expected.calledOff && expected.head.versionId === undefined;
  const { denied } = expected.drop;
  const mayBeUnreadable =
    isReplaced || (denied?.forMs ?? 0) >= expected.unreadableMs || (denied !== undefined && isDroppedAgain);
  if (isUnreadable && !mayBeUnreadable) say('rejected as unreadable, and it could be read in time');
  const invalid = lines.filter(isInvalid);
  const isRejected =
    isGone ||
    isUnreadable ||
    isGivenUp ||
    invalid.length === lines.length ||
    (invalid.length > 0 && job.route.onInvalid === 'reject');
  if (isRejected !== (receipt.result === 'rejected')) say(`its result is ${receipt.result}`);
  if (isRejected) {
    if (lines.some(({ marker }) => executions.has(marker))) say('rejected, and yet some of it was executed');
    if (isGone || isGivenUp || isUnreadable) return;
    if (counts.requests !== lines.length || counts.invalid !== lines.length)
      say('rejected, with wrong counts');
    checkErrors(
      invalid.map((line): [InputLine, Outcome] => [line, outcomeOf(line, findings)]),
      text('errors'),
      mayLack,
      say,
    );
    return;
  }
  const outcomes = lines.map((line): [InputLine, Outcome] => [line, outcomeOf(line, findings)]);
  const answers = outcomes.flatMap(([, outcome]) => ('output' in outcome ? [outcome.output] : []));
  const failures = outcomes.filter(([, outcome]) => 'errors' in outcome);
  const output = answers.map((line) => `${line}\n`).join('');
  if (text('output') !== output)
    say(`its output is not what OpenAI gave: ${difference(text('output'), output)}`);
  checkErrors(failures, text('errors'), mayLack, say);
  const retry = failures.map(([line]) => `${line.text}\n`).join('');
  if (text('retry') !== retry && !(mayLack && isPartOf(text('retry'), retry))) {
    say(`its retry file is not the lines that failed: ${difference(text('retry'), retry)}`);
  }
  checkBilledTwice(findings);
  const used = [...executions.values()]
    .flat()
    .flatMap(({ usedBody }) => (usedBody === undefined ? [] : [JSON.parse(usedBody) as AnswerBody]));
  const files = { output: text('output'), errors: text('errors'), used };
  checkReceipt(receipt, files, lines.length, invalid.length, say);
  checkCost(receipt, text('output'), used, say);
}

/** Lines are given back from the input: there is nothing to give back once it is gone, or cannot be read. */
export function mayLackInput({ calledOff, laterDenial }: ExpectedJob): boolean {
  return calledOff || (laterDenial?.refusals ?? 0) > 0;
}

/** Whether it holds nothing but lines of the whole, in their order. */
function isPartOf(text: string, whole: string): boolean {
  let from = 0;
  const left = whole.split('\n');
  return text.split('\n').every((line) => {
    from = left.indexOf(line, from) + 1;
    return from > 0;
  });
}

function checkErrors(expected: [InputLine, Outcome][], text: string, mayLack: boolean, say: Report): void {
  const lines = text === '' ? [] : text.trimEnd().split('\n');
  if (lines.length !== expected.length) {
    say(`its errors file has ${lines.length} lines, ${expected.length} were expected`);
    return;
  }
  for (const [index, [line, outcome]] of expected.entries()) {
    const found = JSON.parse(lines[index]!) as {
      line: number;
      custom_id: string | null;
      tries: number;
      error: { code: string } | null;
      response: { status_code: number; body?: { error?: { code?: string | null } } } | null;
    };
    if (found.line !== line.number) {
      say(`its errors file has line ${found.line} where ${line.number} was expected`);
      return;
    }
    if (!('errors' in outcome)) continue;
    const { codes, tries } = outcome.errors;
    const code = codeOf(found);
    if (!codes.includes(code))
      say(`line ${line.number} failed with ${code}; ${codes.join(' or ')} was expected`);
    if (tries !== undefined && found.tries !== tries) {
      say(`line ${line.number} says ${found.tries} tries, and was executed ${tries} times`);
    }
    const isNamed = found.custom_id === line.customId;
    // Names are read from the input, too.
    if (!isNamed && !isInvalid(line) && !(mayLack && found.custom_id === null))
      say(`line ${line.number} names ${found.custom_id}`);
  }
}

function difference(found: string, wanted: string): string {
  const [have, want] = [found.split('\n'), wanted.split('\n')];
  const at = have.findIndex((line, index) => line !== want[index]);
  return `line ${at + 1} is ${have[at]?.slice(0, 160) ?? 'missing'}; expected ${want[at]?.slice(0, 160) ?? 'nothing'}`;
}
