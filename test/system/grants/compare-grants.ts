/** Compares what policies grant with what runs used of it. */
import type { Grant } from '../../../local/services/iam/policy.ts';

/** Why grants that no run uses are there all the same. */
export interface Reason {
  /** Matches what {@link textOf} says of each of them. */
  grants: RegExp;
  /** One line: who uses them, when, and why no run here does. */
  why: string;
  /** Whether a run uses them depends on who comes first. @default false */
  byChance?: boolean;
}

/** What is wrong with the policies, or with the reasons. */
export interface Comparison {
  /** Grants that no run used and no reason names, as text. */
  unexplained: string[];
  /** Reasons that name no grant which was left unused; of those by chance, no grant at all. */
  outdated: string[];
}

/**
 * A grant as people read it, the same in every stack: whose policy (path of a construct below its pipeline, or of one beside
 * it), what, on what, and under which condition. Names that CloudFormation would make up are shortened to what is of the stack's code.
 */
export function textOf({ holder, action, resource, condition }: Grant): string {
  const parts = [holder.replace(/^Pipeline\//, ''), action, nameOf(resource), nameOf(condition)];
  return parts.filter((part) => part !== '').join(' ');
}

/** ARNs by their last part, without the name of the stack, its id, and the hash at the end of a logical id. */
function nameOf(text: string): string {
  return text
    .replaceAll(/arn:aws:s3:::[^/"]*/g, 'bucket')
    .replaceAll(/arn:[^:"]*:[^:"]*:[^:"]*:\d{12}:/g, '')
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')
    .replaceAll(/\b[a-z][a-z0-9-]*-(?=Pipeline|Pager|us-east-1$|\*"\})/g, '')
    .replaceAll(/(?<=P(?:ipeline|ager)\w*)[0-9A-F]{8}\b/g, '');
}

/** @param held everything that the policies of all stacks allow */
export function compareGrants(
  held: readonly Grant[],
  used: readonly Grant[],
  reasons: readonly Reason[],
): Comparison {
  const isUsed = new Set(used.map(textOf));
  const all = [...new Set(held.map(textOf))].sort();
  const unused = all.filter((text) => !isUsed.has(text));
  return {
    unexplained: unused.filter((text) => !reasons.some(({ grants }) => grants.test(text))),
    outdated: reasons
      .filter(({ grants, byChance }) => !(byChance ? all : unused).some((text) => grants.test(text)))
      .map(({ grants, why }) => `${grants}: ${why}`),
  };
}
