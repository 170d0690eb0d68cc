/** A receipt against a recount of the files that it speaks of, and of what was run again. */
import { isDeepStrictEqual } from 'node:util';
import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { Execution, ServiceBatch } from '../openai-model.ts';
import type { Report } from './expectations.ts';
import type { JobFindings } from './findings.ts';
import { type AnswerBody, usedBy } from './money.ts';
import { mayBeUnreadable, mayRefuse } from './outcomes.ts';

export function codeOf(line: {
  error: { code: string } | null;
  response: { status_code: number; body?: { status?: string; error?: { code?: string | null } } } | null;
}): string {
  if (line.error !== null) return line.error.code;
  if (line.response === null) return 'no_response';
  const { status_code: status, body } = line.response;
  if (body?.status === 'cancelled') return 'response_cancelled';
  return body?.error?.code ?? (status === 0 ? 'status_0' : `http_${status}`);
}

/** What was run again although OpenAI may have charged the try that it lost: each one, and nothing else. */
export function checkBilledTwice({
  isInterrupted,
  expected,
  job,
  receipt,
  executions,
  sent,
  say,
}: JobFindings): void {
  const mayStop = expected.calledOff || expected.cancelled || mayRefuse(job) || mayBeUnreadable(expected);
  /** @param withLast whether a try counts after which there was no other. */
  const lostTries = (withLast: boolean): Record<string, number> => {
    const codes: Record<string, number> = {};
    for (const { marker } of expected.drop.lines) {
      const runs = executions.get(marker) ?? [];
      const lost = runs.filter(
        (run, index) =>
          run.result === 'lost' && (withLast || index < runs.length - 1 || wentOutAgain(marker, run, sent)),
      );
      for (const { code = 'missing_from_results' } of lost) codes[code] = (codes[code] ?? 0) + 1;
    }
    return codes;
  };
  const told = { ...receipt.possiblyBilledTwice };
  const again = lostTries(false);
  // What was to run again, and was called off before it did, may be among them.
  const most = lostTries(mayStop || isInterrupted);
  if (isInterrupted) {
    // What had not left when its caller was killed counts as well: nobody can tell it from what had.
    // So does a cancel that nobody saw the reply of: it is told as cancelled, or as without an answer.
    const unanswered = (codes: Record<string, number>): number =>
      UNANSWERED.reduce((sum, code) => sum + (codes[code] ?? 0), 0);
    if (!mayStop && unanswered(told) < unanswered(again))
      say(
        `its receipt has possiblyBilledTwice ${JSON.stringify(told)}, fewer than the ledger: ${JSON.stringify(again)}`,
      );
    for (const codes of [told, again, most]) for (const code of UNANSWERED) delete codes[code];
  }
  const isAtMost = (one: Record<string, number>, other: Record<string, number>): boolean =>
    Object.entries(one).every(([code, count]) => count <= (other[code] ?? 0));
  if (isAtMost(told, most) && (mayStop || isAtMost(again, told))) return;
  say(`its receipt has possiblyBilledTwice ${JSON.stringify(told)}; the ledger has ${JSON.stringify(again)}`);
}

/** What a worker that was killed may have left of calls and cancels. */
const UNANSWERED = ['no_response', 'request_timeout', 'background_cancelled', 'background_left'];

/** In a batch that was refused, say: then nothing of it was executed. */
function wentOutAgain(marker: string, run: Execution, sent: readonly ServiceBatch[]): boolean {
  const first = sent.findIndex(({ id }) => id === run.batch.id);
  // What was called alone never goes back to a batch.
  if (first === -1) return false;
  return sent.some(({ requests }, index) => index > first && requests.some((one) => one.marker === marker));
}

/** The receipt against a recount of the files that it names, and of what else used tokens. */
export function checkReceipt(
  receipt: Receipt,
  { output, errors, used: others }: { output: string; errors: string; used: readonly AnswerBody[] },
  requests: number,
  invalid: number,
  say: Report,
): void {
  const answers = linesOf(output) as { response: { body: AnswerBody } }[];
  const failures = linesOf(errors) as Parameters<typeof codeOf>[0][];
  const counts = { requests, succeeded: answers.length, failed: failures.length - invalid, invalid };
  if (!isDeepStrictEqual({ ...receipt.counts }, counts)) {
    say(`its receipt counts ${JSON.stringify(receipt.counts)}, its files ${JSON.stringify(counts)}`);
  }
  const byCode: Record<string, number> = {};
  for (const code of failures.map(codeOf)) byCode[code] = (byCode[code] ?? 0) + 1;
  if (!isDeepStrictEqual({ ...receipt.errorsByCode }, byCode)) {
    say(`its receipt has errors ${JSON.stringify(receipt.errorsByCode)}, its file ${JSON.stringify(byCode)}`);
  }
  const used = answers.map(({ response }) => usedBy(response.body));
  const all = [...used, ...others.map(usedBy)];
  const inputTokens = all.reduce((sum, one) => sum + (one?.input ?? 0), 0);
  const outputTokens = all.reduce((sum, one) => sum + (one?.output ?? 0), 0);
  const { usage } = receipt;
  if (usage.inputTokens !== inputTokens || usage.outputTokens !== outputTokens) {
    say(
      `its receipt has ${usage.inputTokens} and ${usage.outputTokens} tokens, its output ${inputTokens} and ${outputTokens}`,
    );
  }
  const withoutUsage = used.filter((one) => one === undefined).length;
  if (receipt.cost.withoutUsage !== withoutUsage)
    say(`its receipt has ${receipt.cost.withoutUsage} answers without usage, its output ${withoutUsage}`);
  const incomplete = answers.filter(
    ({ response: { body } }) => body.choices?.[0]?.finish_reason === 'length' || body.status === 'incomplete',
  ).length;
  if (receipt.incomplete !== incomplete)
    say(`its receipt has ${receipt.incomplete} cut answers, its output ${incomplete}`);
  const succeeded = receipt.batches.reduce((sum, batch) => sum + batch.succeeded, 0);
  const failed = receipt.batches.reduce((sum, batch) => sum + batch.failed, 0);
  if (succeeded !== counts.succeeded || failed !== counts.failed)
    say('the batches of its receipt do not add up to it');
}

function linesOf(text: string): unknown[] {
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
}
