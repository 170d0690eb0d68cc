/**
 * A rules file: which calls a person waits for.
 *
 * ```json
 * { "version": 1,
 *   "rules": [
 *     { "project": "proj_chat", "urgency": "now" },
 *     { "endpoint": "/v1/responses", "model": "gpt-5.4*", "tag": "report", "urgency": "soon" }
 *   ],
 *   "otherwise": "later" }
 * ```
 *
 * The first rule all of whose fields fit holds; `*` matches anything. `now`: a user waits, standard. `soon`: within
 * minutes or hours, flex or the window of two hours. `later`: within a day, any.
 */

import * as z from 'zod';
import { compileGlob, describeGlobProblem } from '../../contract/glob.ts';
import { problemsOf } from '../../contract/problems.ts';
import { BatchdropError } from '../base/errors.ts';
import type { Calls } from './calls.ts';

const URGENCIES = ['now', 'soon', 'later'] as const;
export type Urgency = (typeof URGENCIES)[number];

const pattern = z
  .string()
  .min(1)
  .refine((glob) => describeGlobProblem(glob) === undefined, {
    error: ({ input }) => describeGlobProblem(String(input)) ?? 'a glob is expected',
  })
  .optional();
const rulesSchema = z.strictObject({
  version: z.literal(1),
  rules: z.array(
    z
      .strictObject({
        endpoint: pattern,
        model: pattern,
        project: pattern,
        tag: pattern,
        urgency: z.enum(URGENCIES),
      })
      .refine(
        ({ endpoint, model, project, tag }) =>
          [endpoint, model, project, tag].some((each) => each !== undefined),
        'a rule names at least one of endpoint, model, project and tag; what is left is "otherwise"',
      ),
  ),
  otherwise: z.enum(URGENCIES),
});

/** The file is not one of rules. The message says where, and what is expected there. */
export class RulesFileError extends BatchdropError {}

/** How urgent calls are. */
export type Rules = (calls: Calls) => Urgency;

/** As if no person waited for any call: what could be saved at most. */
export const NOBODY_WAITS: Rules = () => 'later';

/**
 * Reads a rules file.
 * @throws {RulesFileError} naming everything in it that is not as it should be.
 */
export function readRules(text: string, name: string): Rules {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new RulesFileError(`${name} is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = rulesSchema.safeParse(json);
  if (!parsed.success) {
    const problems = problemsOf(parsed.error, 'the file').map((problem) => `  - ${problem}`);
    throw new RulesFileError(
      `${name} is not a rules file of version 1:\n${problems.join('\n')}\n` +
        'Expected: {"version":1,"rules":[{"endpoint","model","project","tag","urgency"}],"otherwise"}, urgency "now", "soon" or "later".',
    );
  }
  const rules = parsed.data.rules.map(({ urgency, endpoint, model, project, tag }) => {
    const [isEndpoint, isModel, isProject, isTag] = [endpoint, model, project, tag].map(matcherOf);
    const fits = (calls: Calls): boolean =>
      isEndpoint!(calls.endpoint) &&
      isModel!(calls.model) &&
      isProject!(calls.project ?? '') &&
      (tag === undefined || calls.tags.some((each) => isTag!(each)));
    return { urgency, fits };
  });
  const { otherwise } = parsed.data;
  return (calls) => rules.find(({ fits }) => fits(calls))?.urgency ?? otherwise;
}

function matcherOf(glob: string | undefined): (text: string) => boolean {
  return glob === undefined ? () => true : compileGlob(glob, { acrossSlashes: true });
}
