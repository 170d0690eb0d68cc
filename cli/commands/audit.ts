/** `batchdrop audit FILE...`: what past calls cost, and would have cost. Reads files, and nothing else. */
import { readFile } from 'node:fs/promises';
import { TIERS } from '../../src/contract/route.ts';
import { type Audit, Auditor, type MonthAudit } from '../../src/core/audit/audit.ts';
import { NOBODY_WAITS, type Rules, RulesFileError, readRules } from '../../src/core/audit/rules.ts';
import { formatUsd, type Picodollars, toUsd } from '../../src/core/base/money.ts';
import { GzipError } from '../../src/core/files/gunzip.ts';
import { LineSplitter } from '../../src/core/files/lines.ts';
import { unpacked } from '../../src/core/files/unpacked.ts';
import { readCalls } from '../../src/providers/openai/past-calls.ts';
import { OPENAI_RULES } from '../../src/providers/openai/rules.ts';
import { type PriceOptions, pricesOf } from '../options/prices.ts';
import { readWithProgress, sizesOf } from '../options/read-files.ts';
import { EXIT_PARTIAL, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { format } from '../view/progress.ts';
import { count, wrapped } from '../view/text.ts';

export interface AuditOptions extends PriceOptions {
  /** Path of a rules file. */
  rules?: string;
  json?: boolean;
}

/** @returns the exit status: whether every line was understood and has a price. */
export async function audit(files: readonly string[], options: AuditOptions): Promise<number> {
  const auditor = new Auditor(await pricesOf(options), await rulesOf(options.rules), {
    rules: OPENAI_RULES,
    readCalls,
  });
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  for (const [file, size] of await sizesOf(files)) {
    const lines = new LineSplitter(({ bytes, line }) => {
      if (bytes === undefined) {
        auditor.addProblem(file, line, 'is longer than 32 MiB');
        return;
      }
      let text: string;
      try {
        text = utf8.decode(bytes);
      } catch {
        auditor.addProblem(file, line, 'is not UTF-8');
        return;
      }
      auditor.addLine(text, file, line);
    });
    try {
      for await (const chunk of await unpacked(readWithProgress(file, size, process.stderr, Date.now)))
        lines.push(chunk);
    } catch (error) {
      if (error instanceof GzipError) throw new Error(`${file}: ${error.message}`, { cause: error });
      throw error;
    }
    lines.end();
  }
  const found = auditor.finish();
  console.log(options.json ? JSON.stringify(toJson(found)) : toText(found, process.stdout.columns ?? 80));
  return found.unread === 0 && Object.keys(found.unpriced).length === 0 ? EXIT_SUCCEEDED : EXIT_PARTIAL;
}

async function rulesOf(path: string | undefined): Promise<Rules> {
  if (path === undefined) return NOBODY_WAITS;
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--rules ${path}: a rules file is expected, but it cannot be read (${error.code})`);
  });
  try {
    return readRules(text, path);
  } catch (error) {
    if (error instanceof RulesFileError) throw new UsageError(`--rules: ${error.message}`);
    throw error;
  }
}

/** Amounts are exact decimals as text. */
function toJson(found: Audit): object {
  return {
    version: 1,
    ...found,
    months: found.months.map(({ billed, standard, would, eligible, ...month }) => ({
      ...month,
      usd: {
        billed: toUsd(billed),
        standard: standard === undefined ? null : toUsd(standard),
        would: toUsd(would),
        saved: toUsd(billed - would),
      },
      eligible: Object.fromEntries(
        Object.entries(eligible).map(([tier, each]) => [
          tier,
          { calls: each.calls, billedUsd: toUsd(each.billed), wouldUsd: toUsd(each.would) },
        ]),
      ),
    })),
  };
}

function toText(found: Audit, width: number): string {
  const lines = found.months.flatMap((month) => [...monthLines(month), '']);
  if (found.months.length > 1) {
    const sum = (of: (month: MonthAudit) => Picodollars): Picodollars =>
      found.months.reduce((total, month) => total + of(month), 0n);
    const [billed, would] = [sum((month) => month.billed), sum((month) => month.would)];
    lines.push(`All ${found.months.length} months: ${savingText(billed, would)}`);
  }
  if (found.failed > 0) lines.push(`${count(found.failed, 'call')} failed and cost nothing.`);
  for (const [name, calls] of Object.entries(found.unpriced))
    lines.push(`No price is known for ${name}: ${count(calls, 'call')} in no sum; add a row with --prices.`);
  for (const { file, line, problem } of found.problems) lines.push(`${file} line ${format(line)} ${problem}`);
  if (found.unread > found.problems.length)
    lines.push(`… ${format(found.unread - found.problems.length)} more lines were not understood.`);
  if (found.lines === 0) lines.push('There is no line that is not blank.');
  return lines.flatMap((line) => wrapped(line, width)).join('\n');
}

function monthLines({ month, calls, usage, billed, standard, would, eligible }: MonthAudit): string[] {
  const moved = TIERS.filter((tier) => tier !== 'standard').flatMap((tier) => {
    const each = eligible[tier];
    return each.calls === 0
      ? []
      : [
          `  ${tier.padEnd(13)}  ${count(each.calls, 'call')}: ${formatUsd(each.would)} in place of ${formatUsd(each.billed)}`,
        ];
  });
  return [
    `${month}: ${count(calls, 'call')}, ${format(usage.inputTokens)} tokens in (${format(usage.cachedTokens)} cached), ${format(usage.outputTokens)} out`,
    ...(standard === undefined || standard === billed
      ? []
      : [`  standard       ${formatUsd(standard)}, if all had been sent so`]),
    ...moved,
    ...(eligible.standard.calls === 0
      ? []
      : [
          `  stays          ${count(eligible.standard.calls, 'call')}: ${formatUsd(eligible.standard.would)}`,
        ]),
    `  billed         ${savingText(billed, would)}`,
  ];
}

function savingText(billed: Picodollars, would: Picodollars): string {
  const saved = billed - would;
  const percent = billed === 0n ? 0 : Number((saved * 100_000n) / billed) / 1_000;
  return `${formatUsd(billed)}, would have been ${formatUsd(would)}: ${formatUsd(saved)} less (${percent.toFixed(1)} %)`;
}
