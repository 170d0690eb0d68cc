/** What answers cost against what receipts and ledgers say of it. Prices are written down here. */
import type { Receipt } from '../../../../src/contract/receipt.ts';
import type { WatchedQuota } from '../money.ts';

/** Picodollars a token in batch: input, output. Source: OpenAI's page "Pricing". */
const PRICES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  'gpt-5.4-nano': [100_000n, 625_000n],
  'gpt-5.4-mini': [375_000n, 2_250_000n],
  'gpt-6-luna': [50_000n, 250_000n],
};

/** An answer, in the form of either endpoint. */
export interface AnswerBody {
  model: string;
  service_tier?: string;
  /** Of responses in the background: seconds since the epoch. */
  created_at?: number;
  completed_at?: number | null;
  background?: boolean;
  background_options?: { completion_window: string };
  usage?:
    | { prompt_tokens: number; completion_tokens: number }
    | { input_tokens: number; output_tokens: number }
    | undefined;
  /** Of chats. */
  choices?: { finish_reason: string }[];
  /** Of responses. */
  status?: string;
}

/** The tokens that an answer says it took; `undefined`: it does not say. */
export function usedBy({ usage }: AnswerBody): { input: number; output: number } | undefined {
  if (usage === undefined) return undefined;
  return 'prompt_tokens' in usage
    ? { input: usage.prompt_tokens, output: usage.completion_tokens }
    : { input: usage.input_tokens, output: usage.output_tokens };
}

/** The receipt's money against the answers of the output file, and what else says that it used tokens. */
export function checkCost(
  receipt: Receipt,
  output: string,
  used: readonly AnswerBody[],
  say: (text: string) => void,
): void {
  let cost = 0n;
  for (const line of output.trimEnd().split('\n')) {
    if (line === '') continue;
    const { response } = JSON.parse(line) as { response: { body: AnswerBody } };
    const used = usedBy(response.body);
    if (used !== undefined) cost += priceOf(response.body, used.input, used.output);
  }
  for (const body of used) {
    const { input, output: written } = usedBy(body)!;
    cost += priceOf(body, input, written);
  }
  if (picodollarsOf(receipt.cost.usd) !== cost)
    say(`its receipt says ${receipt.cost.usd} USD, its output ${cost} picodollars`);
  const batches = receipt.batches.reduce((sum, { usd }) => sum + picodollarsOf(usd), 0n);
  if (batches !== cost) say('the costs of its batches do not add up to it');
}

/**
 * Hours of a window, and what a token costs in it, in tenths of what it costs in standard. Source: OpenAI guide
 * "Background mode". What is billed when it is missed is not established: that counts as standard.
 */
const WINDOWS: Readonly<Record<string, { hours: number; tenths: bigint }>> = {
  '8h': { hours: 8, tenths: 6n },
  '2h': { hours: 2, tenths: 7n },
};

function tenthsOf({ background_options, created_at = 0, completed_at }: AnswerBody): bigint {
  const window = WINDOWS[background_options?.completion_window ?? ''];
  if (window === undefined) return 10n;
  return (completed_at ?? 0) - created_at > window.hours * 3_600 ? 10n : window.tenths;
}

/**
 * Picodollars, at the rates of the tier that answered: `default` is OpenAI's name of standard, and costs twice what
 * batch does.
 */
function priceOf(body: AnswerBody, input: number, output: number): bigint {
  const [inputRate, outputRate] = PRICES[body.model]!;
  const batch = BigInt(input) * inputRate + BigInt(output) * outputRate;
  return body.service_tier === 'default' ? (batch * 2n * tenthsOf(body)) / 10n : batch;
}

/** Tokens of every answer of the simulation, whether it says so or not. */
const ANSWER_TOKENS = 5;

/**
 * What is booked is at least what the answers cost, those included that do not tell their usage: else a budget does not
 * hold.
 * @param answers lines of output files, with the input tokens of their requests.
 */
export async function checkSpent(
  quota: WatchedQuota,
  answers: readonly { line: string; inputTokens: number }[],
  report: (text: string) => void,
): Promise<void> {
  let cost = 0n;
  for (const { line, inputTokens } of answers) {
    const { response } = JSON.parse(line) as { response: { body: AnswerBody } };
    cost += priceOf(response.body, inputTokens, ANSWER_TOKENS);
  }
  let booked = 0;
  for (const name of quota.names)
    if (name.startsWith('spent/')) booked += (await quota.getLedger(name))!.used;
  if (booked * 1_000_000 < Number(cost))
    report(`${booked} microdollars are booked in all; the answers cost ${Number(cost) / 1_000_000}`);
}

/** Once everything is quiet nothing is reserved, and what is booked is what the receipts say. */
export async function checkLedgers(
  quota: WatchedQuota,
  receipts: readonly Receipt[],
  report: (text: string) => void,
): Promise<void> {
  for await (const { jobId, batchId } of quota.listReservations())
    report(`something is reserved for batch ${batchId} of job ${jobId}`);
  let month = 0;
  for (const name of quota.names) {
    const { reserved, used } = (await quota.getLedger(name))!;
    if (reserved !== 0) report(`${name} has ${reserved} reserved in the end`);
    if (name.startsWith('spent/')) month += used;
    const jobId = /^budget\/job\/(.*)$/.exec(name)?.[1];
    const own = receipts.filter((receipt) => receipt.jobId === jobId);
    if (jobId !== undefined && own.length > 0) checkBooked(name, used, own, report);
  }
  checkBooked('the months', month, receipts, report);
}

/** Each batch is rounded up once, with what OpenAI may have charged beyond what its results tell. */
function checkBooked(
  name: string,
  used: number,
  receipts: readonly Receipt[],
  report: (text: string) => void,
): void {
  let batches = 0;
  let cost = 0n;
  for (const receipt of receipts) {
    batches += receipt.batches.length;
    cost += picodollarsOf(receipt.cost.usd) + picodollarsOf(receipt.cost.possibleUsd);
  }
  const exact = Number(cost) / 1_000_000;
  if (used < exact || used > exact + batches)
    report(`${name} has ${used} used; the receipts of its ${batches} batches say ${exact}`);
}

/** An exact decimal, in picodollars. */
export function picodollarsOf(usd: string): bigint {
  const [whole, fraction = ''] = usd.split('.');
  return BigInt(whole! + fraction.padEnd(12, '0'));
}
