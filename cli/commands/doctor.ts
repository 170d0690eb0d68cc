/** `batchdrop doctor`: what is wrong with a stack, and what to do. Deletes what is left over at OpenAI, if asked. */
import { OpenAIBatches } from '../../src/providers/openai/batch-api.ts';
import { createOpenAIClient } from '../../src/runtime/deps/openai.ts';
import { confirm } from '../options/confirm.ts';
import { readDoctorFacts } from '../options/doctor-facts.ts';
import { deleteOrphans, findOrphans, type OrphanDeps, type Orphans } from '../options/orphans.ts';
import { outputOf, type StackOptions, stackText } from '../options/stack.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { type Stores, withStores } from '../options/stores.ts';
import { type Checked, doctorText, isSick, judge, orphansText } from '../view/doctor-checks.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { withStack } from '../view/explain-text.ts';
import { terminalWidth } from '../view/text.ts';

/** Options of `batchdrop doctor`. */
export interface DoctorOptions extends StackOptions {
  json?: boolean;
  /** Look at OpenAI, too. */
  openai?: boolean;
  /** Delete what is left over there. */
  clean?: boolean;
  /** The person has answered already. */
  yes?: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * @param env `OPENAI_API_KEY`, `OPENAI_BASE_URL`: used with `openai` or `clean` alone.
 * @returns the exit status: 1 where something is wrong.
 * @throws {UsageError} if OpenAI is to be looked at and no key is given, or nobody is there to answer.
 */
export async function doctor(options: DoctorOptions, env: Env): Promise<number> {
  const isAsked = options.openai || options.clean;
  if (isAsked && !env.OPENAI_API_KEY)
    throw new UsageError(
      'set OPENAI_API_KEY to a key of the project that is to be looked at: the key of the stack is not read',
    );
  return withStores(options, async (stores) => {
    const look = isAsked ? lookAt(stores, env) : undefined;
    const readings = await readDoctorFacts(stores, look?.find);
    const checked = withFlags(judge(readings, Date.now()), stackFlags(options));
    const { name, kind } = stores.stack;
    const isJson = options.json ?? false;
    if (!isJson)
      console.log(
        `Looked at ${stackText(stores.stack)}${kind === 'stopped' ? ' (stopped)' : ''}\n\n${doctorText(checked, terminalWidth(process.stdout))}`,
      );
    const deleted = options.clean && look !== undefined ? await clean(look, options, isJson) : undefined;
    if (isJson) console.log(JSON.stringify({ stack: name, kind, checks: checked, deleted }));
    return isSick(checked) ? EXIT_CANNOT_RUN : EXIT_SUCCEEDED;
  });
}

/** A look at OpenAI, and what it found. */
interface Look {
  deps(): OrphanDeps;
  find(): Promise<Orphans>;
  found?: Orphans;
}

function lookAt({ stack, jobs }: Stores, env: Env): Look {
  const client = createOpenAIClient(async () => env.OPENAI_API_KEY!, env.OPENAI_BASE_URL || undefined);
  const api = new OpenAIBatches(client);
  const look: Look = {
    deps: () => ({ stackId: stackIdOf(stack), jobs, api, now: Date.now() }),
    async find() {
      look.found = await findOrphans(look.deps());
      return look.found;
    },
  };
  return look;
}

/** What the marks at OpenAI begin with: the names of the stack's secrets do, too, deployed or local. */
function stackIdOf(stack: Stores['stack']): string {
  const arn = outputOf(stack, 'ApiKeySecretArn');
  const id = /:secret:batchdrop\/([^/]+)\//.exec(arn)?.[1];
  if (id === undefined)
    throw new UsageError(`the id of the stack is not in its output ApiKeySecretArn, ${arn}`);
  return id;
}

/** Asks, and deletes. @returns how much was deleted; `undefined` if it could not be looked at. */
async function clean(
  look: Look,
  { yes }: DoctorOptions,
  isQuiet: boolean,
): Promise<{ files: number; bytes: number } | undefined> {
  const { found } = look;
  if (found === undefined) return undefined;
  const none = { files: 0, bytes: 0 };
  if (found.files.length === 0) return none;
  const hasResults = found.files.some(({ kind }) => kind === 'results');
  const warning = hasResults ? ' Answers in them may have been paid for, and no job has them.' : '';
  const question = `Delete ${orphansText(found.files)}, at OpenAI for good?${warning}`;
  if (!(await confirm(question, { yes }))) return none;
  const deleted = await deleteOrphans(look.deps(), found.files);
  if (!isQuiet) console.log(`Deleted at OpenAI: ${orphansText(deleted)}.`);
  return { files: deleted.length, bytes: deleted.reduce((sum, { bytes = 0 }) => sum + bytes, 0) };
}

/** The commands, with the options that name the stack. */
function withFlags(checked: readonly Checked[], flags: string): Checked[] {
  return checked.map((each) => ({
    ...each,
    findings: each.findings.map((finding) => ({
      ...finding,
      command: finding.command === undefined ? undefined : withStack(finding.command, flags),
    })),
  }));
}
