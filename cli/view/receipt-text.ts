/** A receipt for a person, and the exit status that it ends a command with. */
import type { Receipt } from '../../src/contract/receipt.ts';
import { formatUsd, fromUsd } from '../../src/core/base/money.ts';
import { EXIT_PARTIAL, EXIT_SUCCEEDED } from './exit.ts';
import { invalidLines } from './invalid-lines.ts';
import { format } from './progress.ts';

/** @returns 0 if all requests of all have an answer, from their own job or from that of the same content; else 3. */
export function exitOf(receipts: readonly Receipt[]): number {
  const hasSucceeded = ({ result, duplicateOf }: Receipt): boolean =>
    result === 'succeeded' || (result === 'duplicate' && duplicateOf?.result === 'succeeded');
  return receipts.every(hasSucceeded) ? EXIT_SUCCEEDED : EXIT_PARTIAL;
}

/** @param placeOf says where a person finds the file of a key. */
export function receiptText(receipt: Receipt, placeOf: (key: string) => string): string {
  const { counts, files, usage, rejection, errorsByCode, firstInvalid, result, duplicateOf, retryOf } =
    receipt;
  const codes = Object.entries(errorsByCode).map(([code, count]) => `${code} ${format(count)}`);
  const place = (name: string, key: string | undefined): string[] =>
    key === undefined ? [] : [`  ${name.padEnd(9)} ${placeOf(key)}`];
  return [
    `${receipt.input.key}: ${receipt.result}`,
    ...(retryOf === undefined ? [] : [`  retry of  job ${retryOf.jobId}`]),
    ...(rejection === undefined ? [] : [`  reason    ${rejection.message}`]),
    ...(result === 'duplicate'
      ? [
          `  reason    not run, and nothing paid: job ${duplicateOf?.jobId} had the same content, and ended as ${duplicateOf?.result}`,
        ]
      : []),
    `  requests  ${format(counts.requests)}: ${format(counts.succeeded)} succeeded, ${format(counts.failed)} failed, ${format(counts.invalid)} invalid`,
    ...(codes.length === 0 ? [] : [`  problems  ${codes.join(', ')}`]),
    ...invalidLines({ invalidByCode: errorsByCode, firstInvalid }),
    `  tokens    ${format(usage.inputTokens)} in, ${format(usage.outputTokens)} out`,
    `  cost      ${costText(receipt.cost)}`,
    ...place('answers', files.output),
    ...place('errors', files.errors),
    ...place('to retry', files.retry),
    ...place('receipt', files.receipt),
  ].join('\n');
}

function costText({ usd, possibleUsd, savedUsd, withoutUsage, unpriced }: Receipt['cost']): string {
  const shown = (text: string): string => formatUsd(fromUsd(text.replace('-', '')) ?? 0n);
  return [
    `${shown(usd)}, ${shown(savedUsd)} ${savedUsd.startsWith('-') ? 'more' : 'less'} than standard`,
    ...(possibleUsd === '0'
      ? []
      : [
          `up to ${shown(possibleUsd)} more for results that OpenAI lost${withoutUsage === 0 ? '' : ` and ${format(withoutUsage)} without usage`}`,
        ]),
    ...(unpriced === 0 ? [] : [`${format(unpriced)} results have no known price`]),
  ].join('; ');
}
